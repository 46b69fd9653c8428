package dns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShares: a namespace whose pods fill the table leaves the others their share.
func TestShares(t *testing.T) {
	table, m := NewTable(Limits{PerName: 100, PerClient: 20, Total: 100, Least: time.Minute, Most: 24 * time.Hour}), model{}
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	clients := map[netip.Addr]string{}
	pod := func(namespace string, i byte) netip.Addr {
		a := netip.AddrFrom4([4]byte{10, byte(len(namespace)), 0, i})
		clients[a] = namespace
		return a
	}
	for i := range byte(13) {
		pod("flood", i)
	}
	shop, b := pod("shop", 1), pod("b", 1)
	table.SetClients(clients)
	n := 0
	learn := func(to netip.Addr) uint64 {
		n++
		return table.Learn([]Record{recordOf(fmt.Sprintf("n%d.example", n), "192.0.2.1", 86400)}, to, start)
	}
	for i := range byte(13) {
		for range 20 {
			learn(pod("flood", i))
		}
	}
	if c := table.Counts(); c.Records != 100 || c.OverTotal != 160 || c.OverNamespace != 0 {
		t.Errorf("one namespace alone: %+v", c)
	}
	for range 20 {
		if learn(shop) == 0 {
			t.Error("no room for a namespace that has less")
		}
	}
	for range 15 {
		learn(b)
	}
	if c := table.Counts(); c.Records != 100 || c.OverNamespace != 35 {
		t.Errorf("three namespaces: %+v", c)
	}
	for range 30 {
		learn(pod("flood", 3))
	}
	use := fmt.Sprint(table.Namespaces())
	if want := "[{flood 65 225} {shop 20 0} {b 15 0}]"; use != want {
		t.Errorf("the shares are %s, want %s", use, want)
	}
	if m.flush(table); len(table.names) != 100 || table.Counts().Names != 100 {
		t.Errorf("%d names", len(table.names))
	}

	// What several namespaces use stays with who has less.
	var shared string // one of flood's
	for text, name := range table.names {
		if name.records[0].client.share.namespace == "flood" {
			shared = text
		}
	}
	if table.Learn([]Record{recordOf(shared, "192.0.2.1", 86400)}, b, start) == 0 {
		t.Fatal("a name that is known is not")
	}
	for range 64 {
		learn(pod("third", 1))
		learn(pod("fourth", 2))
	}
	if table.names[shared] == nil {
		t.Error("a name that another namespace uses went with the flood")
	}

	// An endpoint that takes over an address takes over no records.
	clients[shop] = "flood"
	table.SetClients(clients)
	learn(shop)
	for _, u := range table.Namespaces() {
		if u.Namespace == "shop" && u.Records != 20 {
			t.Errorf("records changed their namespace: %v", table.Namespaces())
		}
	}
	table.Expire(start.Add(48*time.Hour), func(netip.Addr) bool { return false }, 0)
	if len(table.Namespaces())+len(table.clients)+len(table.byAddr)+table.Counts().Records+table.Counts().Names != 0 {
		t.Errorf("something is left: %v, %+v", table.Namespaces(), table.Counts())
	}
}

// TestSharesOfRestored: what an earlier agent has learned counts for the namespaces that it
// was learned for, so that a flood is one after a restart, too.
func TestSharesOfRestored(t *testing.T) {
	limits := Limits{PerName: 100, PerClient: 20, Total: 100, Least: time.Minute, Most: 24 * time.Hour}
	clients, shop, gone := map[netip.Addr]string{}, netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.3.0.1")
	host := netip.MustParseAddr("192.0.2.200")
	clients[shop], clients[host] = "shop", ""
	flood := func(i int) netip.Addr {
		a := netip.AddrFrom4([4]byte{10, 2, 0, byte(i % 13)})
		clients[a] = "flood"
		return a
	}
	var saved []Saved
	add := func(name string, to netip.Addr) {
		saved = append(saved, Saved{name, netip.MustParseAddr("192.0.2.1"), start.Add(time.Hour), to})
	}
	for i := range 10 {
		add(fmt.Sprintf("s%d.example", i), shop)
	}
	add("host.example", host)
	for i := range 5 {
		add(fmt.Sprintf("g%d.example", i), gone)
	}
	for i := range 84 {
		add(fmt.Sprintf("f%d.example", i), flood(i))
	}
	table, m := NewTable(limits), model{}
	table.Restore(saved, start)
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	m.flush(table)
	table.SetClients(clients)
	if got, want := fmt.Sprint(table.Namespaces()), "[{flood 84 0} {shop 10 0} {- 5 0} { 1 0}]"; got != want {
		t.Errorf("the shares are %s, want %s", got, want)
	}
	for i := range 5000 {
		table.Learn([]Record{recordOf(fmt.Sprintf("x%d.example", i), "192.0.2.1", 86400)}, flood(i), start)
	}
	for i := range 19 { // with the one that it has as many as a client may
		if table.Learn([]Record{recordOf(fmt.Sprintf("y%d.example", i), "192.0.2.1", 86400)}, host, start) == 0 {
			t.Error("no room for a namespace that has less")
		}
	}
	if got, want := fmt.Sprint(table.Namespaces()), "[{flood 65 5019} { 20 0} {shop 10 0} {- 5 0}]"; got != want {
		t.Errorf("the shares are %s, want %s", got, want)
	}
	// Who gets an address now is another than who had it.
	clients[gone] = "third"
	table.SetClients(clients)
	if got := table.shares.present["third"]; got != nil {
		t.Errorf("records of one that is gone are another's: %+v", got)
	}
	table.Expire(start.Add(48*time.Hour), func(netip.Addr) bool { return false }, 0)
	if len(table.Namespaces())+len(table.clients)+table.Counts().Records != 0 {
		t.Errorf("something is left: %v", table.Namespaces())
	}
}

// TestSharesAreFair: whoever asks for what, no limit is passed, what is counted is there,
// and a namespace is refused only if none has more than it.
func TestSharesAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{PerName: 3, PerClient: 8, Total: 20, Least: time.Minute, Most: time.Hour}
		table := NewTable(limits)
		table.SetDomains(setKey("s"), setOf("s", "*.example"))
		clients := map[netip.Addr]string{}
		for i := range byte(9) {
			clients[netip.AddrFrom4([4]byte{10, 0, 0, i})] = fmt.Sprint(i / 3)
		}
		table.SetClients(clients)
		m := model{}
		for range rapid.IntRange(1, 120).Draw(t, "answers") {
			to := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 9).Draw(t, "client"))})
			record := recordOf(fmt.Sprintf("n%d.example", rapid.IntRange(0, 30).Draw(t, "name")), fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 5).Draw(t, "addr")), 60)
			before := table.Counts()
			table.Learn([]Record{record}, to, start)
			if after := table.Counts(); after.OverTotal > before.OverTotal {
				if most := table.Namespaces()[0].Records; table.shares.recordsOf(to)+1 < most {
					t.Errorf("a namespace with %d records gets no room beside one with %d", table.shares.recordsOf(to), most)
				}
			}
			if rapid.Bool().Draw(t, "flush") {
				m.flush(table)
			}
		}
		m.flush(table)
		records, perClient := 0, map[netip.Addr]int{}
		for _, name := range table.names {
			records += len(name.records)
			for _, r := range name.records {
				perClient[r.client.addr]++
			}
			if len(name.records) == 0 || len(name.records) > limits.PerName {
				t.Errorf("%s has %d records", name.text, len(name.records))
			}
		}
		sum := 0
		for _, u := range table.Namespaces() {
			sum += u.Records
		}
		if c := table.Counts(); records != c.Records || records > limits.Total || sum != records || len(table.names) != c.Names {
			t.Errorf("%d records, %d of namespaces, %d names: %+v", records, sum, len(table.names), c)
		}
		for a, n := range perClient {
			if n > limits.PerClient {
				t.Errorf("%s has %d records", a, n)
			}
		}
	})
}
