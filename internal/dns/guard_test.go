package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	miekg "github.com/miekg/dns"

	"github.com/tierwall/tierwall/policy"
)

func TestSpecial(t *testing.T) {
	for text, want := range map[string]Reason{
		"0.0.0.0": Unspecified, "0.1.2.3": Unspecified, "::": Unspecified,
		"127.0.0.1": Loopback, "127.255.0.9": Loopback, "::1": Loopback,
		"169.254.169.254": LinkLocal, "169.254.0.0": LinkLocal, "fe80::1": LinkLocal, "febf::1": LinkLocal,
		"224.0.0.1": Multicast, "239.1.2.3": Multicast, "ff02::1": Multicast, "ff0e::1": Multicast,
		"255.255.255.255": Broadcast,
		"1.0.0.0":         NoReason, "126.0.0.1": NoReason, "169.253.255.255": NoReason, "169.255.0.0": NoReason, "223.255.255.255": NoReason,
		"240.0.0.1": NoReason, "10.0.0.1": NoReason, "fec0::1": NoReason, "fd00::1": NoReason, "2001:db8::1": NoReason,
	} {
		if got := special(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got.Label(), want.Label())
		}
	}
}

// TestEmbedded: an IPv4 address in an IPv6 one is looked at, wherever a translator or a
// tunnel finds it.
func TestEmbedded(t *testing.T) {
	g := Guard{Owner: func(a netip.Addr) Reason {
		if a == netip.MustParseAddr("10.96.0.1") {
			return ClusterIP
		}
		return NoReason
	}}
	for text, want := range map[string]Reason{
		"::ffff:169.254.169.254": LinkLocal, "::169.254.169.254": LinkLocal, "::ffff:0:169.254.169.254": LinkLocal,
		"64:ff9b::169.254.169.254": LinkLocal, "64:ff9b::127.0.0.1": Loopback, "64:ff9b::0.0.0.0": Unspecified,
		"64:ff9b::10.96.0.1": ClusterIP, "64:ff9b::198.51.100.7": NoReason,
		"2002:a9fe:a9fe::1": LinkLocal, "2002:7f00:1::": Loopback, "2002:a60:1::5": ClusterIP, "2002:c633:6407::1": NoReason,
		"2001:0:a9fe:a9fe::": LinkLocal, "2001:0:c633:6407:0:0:5601:5601": LinkLocal, "2001:0:c633:6407:0:0:39cc:9bf8": NoReason,
		"64:ff9b:1::10.96.0.1": ClusterIP, "64:ff9b:1:a60:0:100::": ClusterIP, "64:ff9b:1:a:60:1::": ClusterIP, "64:ff9b:1:0:a:6000:100:0": ClusterIP,
		"64:ff9b:1::198.51.100.7": NoReason, "64:ff9b:1:c633:64:700::": NoReason,
		"2001:db8::5efe:10.96.0.1": ClusterIP, "2001:db8::200:5efe:127.0.0.1": Loopback, "2001:db8::5eff:10.96.0.1": NoReason,
		"10.96.0.1": ClusterIP, "2001:db8::a60:1": NoReason,
	} {
		if got := g.reason(netip.MustParseAddr(text).Unmap()); got != want {
			t.Errorf("%s: %q, want %q", text, got.Label(), want.Label())
		}
	}
	if got, want := LinkLocal.Describe(netip.MustParseAddr("64:ff9b::a9fe:a9fe")), "a link-local address, as it carries 169.254.169.254"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, r := range Reasons {
		if r.Label() == "" || r.String() == "" || ReasonOf(r.Label()) != r {
			t.Errorf("reason %d: %q, %q", r, r.Label(), r)
		}
	}
	if ReasonOf("") != NoReason || ReasonOf("x") != NoReason {
		t.Error("a reason without a label")
	}
}

// TestGuard: which sets count an address that is not just anybody's.
func TestGuard(t *testing.T) {
	owners := map[netip.Addr]Reason{
		netip.MustParseAddr("10.96.0.1"): ClusterIP, netip.MustParseAddr("10.244.1.7"): EndpointAddress, netip.MustParseAddr("192.168.1.10"): NodeAddress,
	}
	cluster, err := ParseDomain("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	newTable := func() *Table {
		table := NewTable(DefaultLimits)
		table.SetGuard(Guard{
			Owner:    func(a netip.Addr) Reason { return owners[a] },
			Internal: InternalDomains(cluster, Domain{Name: "corp.example", Below: true}),
		})
		plain, named, lifted := setOf("plain", "*.example", "*.cluster.local", "cluster.local", "www.corp.example"), setOf("named", "*.example"), setOf("lifted", "*.example")
		named.Nets = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("10.96.0.0/12")}
		lifted.AllowInternal = true
		for _, s := range []*policy.Set{plain, named, lifted} {
			table.SetDomains(s.Key, s)
		}
		return table
	}
	for _, tt := range []struct {
		name, addr string
		in         string // the sets that count it
		refused    Reason // as counted
	}{
		{"a.example", "198.51.100.7", "plain named lifted", NoReason},
		{"a.example", "10.96.0.1", "lifted", ClusterIP},
		{"a.example", "10.244.1.7", "lifted", EndpointAddress},
		{"a.example", "192.168.1.10", "lifted", NodeAddress},
		{"a.example", "64:ff9b::192.168.1.10", "lifted", NodeAddress},
		{"a.example", "169.254.169.254", "", LinkLocal},
		{"a.example", "127.0.0.1", "", Loopback},
		{"a.example", "fe80::1", "", LinkLocal},
		{"a.example", "224.0.0.251", "", Multicast},
		{"a.example", "0.0.0.0", "", Unspecified},
		{"a.example", "255.255.255.255", "", Broadcast},
		{"x.shop.svc.cluster.local", "10.244.1.7", "plain", NoReason},
		{"cluster.local", "10.96.0.1", "plain", NoReason},
		{"x.shop.svc.cluster.local", "169.254.169.254", "", LinkLocal},
		{"www.corp.example", "192.168.1.10", "plain named lifted", NoReason},
		{"notcorp.example", "192.168.1.10", "lifted", NodeAddress},
	} {
		table, m := newTable(), model{}
		for range 2 { // each answer counts
			table.Learn([]Record{recordOf(tt.name, tt.addr, 60)}, someIP, start)
			m.flush(table)
		}
		in := ""
		for _, s := range []string{"plain", "named", "lifted"} {
			if len(m.addrs(s)) > 0 {
				in += s + " "
			}
		}
		if in = strings.TrimSpace(in); in != tt.in {
			t.Errorf("%s at %s counts for %q, want %q", tt.name, tt.addr, in, tt.in)
		}
		var want [NodeAddress + 1]uint64
		if tt.refused != NoReason {
			want[tt.refused] = 2
		}
		if got := table.Counts().Refused; got != want {
			t.Errorf("%s at %s: refused %v, want %v", tt.name, tt.addr, got, want)
		}
		known := table.Known()
		if len(known) != 1 || known[0].Refused != tt.refused || known[0].Counted != (tt.in != "") {
			t.Errorf("%s at %s is shown as %+v", tt.name, tt.addr, known)
		}
	}
}

// TestNetsSayIt: what a net of the set holds is not refused, since the net allows it, and
// is no address of the name either; a net of another set is no reason.
func TestNetsSayIt(t *testing.T) {
	table, m := NewTable(DefaultLimits), model{}
	named := setOf("named", "metadata.example")
	named.Nets = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}
	table.SetDomains(named.Key, named)
	learn := func() {
		table.Learn([]Record{recordOf("metadata.example", "169.254.169.254", 60)}, someIP, start)
		m.flush(table)
	}
	learn()
	if got := table.Counts().Refused[LinkLocal]; got != 0 || len(m) != 0 {
		t.Errorf("%d refused, learned %v", got, m)
	}
	other := setOf("other", "metadata.example")
	table.SetDomains(other.Key, other)
	learn()
	if got := table.Counts().Refused[LinkLocal]; got != 1 || len(m) != 0 {
		t.Errorf("of another set: %d refused, learned %v", got, m)
	}
	bare := setOf("named", "metadata.example") // the same without its net
	table.SetDomains(bare.Key, bare)
	table.SetDomains(other.Key, nil)
	learn()
	if got := table.Counts().Refused[LinkLocal]; got != 2 || len(m) != 0 {
		t.Errorf("without the net: %d refused, learned %v", got, m)
	}
	if saved := table.All(); len(saved) != 0 || len(table.Fresh()) != 0 {
		t.Errorf("kept for the next agent: %v", saved)
	}
}

// TestAddressesChangeHands: an address that was learned and becomes a pod's counts no
// more with the next flush, and counts again when it is nobody's.
func TestAddressesChangeHands(t *testing.T) {
	owners := map[netip.Addr]Reason{}
	table, m := NewTable(DefaultLimits), model{}
	table.SetGuard(Guard{Owner: func(a netip.Addr) Reason { return owners[a] }})
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	pod := netip.MustParseAddr("10.244.1.7")
	var all []Record
	for i := range 300 {
		all = append(all, recordOf(fmt.Sprintf("n%d.example", i), fmt.Sprintf("10.244.%d.%d", 1+i/100, i%100), 600))
	}
	table.Learn(all, someIP, start)
	m.flush(table)
	if got := len(m.addrs("s")); got != 300 {
		t.Fatalf("%d addresses", got)
	}
	changed := func() (n int) {
		table.Flush(func(c policy.Change) {
			n++
			if delete(m, c.Key); c.Object != nil {
				m[c.Key] = c.Object.(*policy.Set)
			}
		})
		return n
	}
	if owners[pod] = EndpointAddress; !table.Reconsider(pod) || table.Reconsider(netip.MustParseAddr("10.244.9.9")) {
		t.Error("which names have the pod's address?")
	}
	if n := changed(); n != 1 || len(m.addrs("s")) != 299 {
		t.Errorf("a pod's address: %d sets change, %d addresses are left", n, len(m.addrs("s")))
	}
	if n := changed(); n != 0 {
		t.Errorf("%d sets change once more", n)
	}
	delete(owners, pod)
	table.ReconsiderRefused()
	if n := changed(); n != 1 || len(m.addrs("s")) != 300 || table.Suspects() != 0 {
		t.Errorf("nobody's address again: %d sets change, %d addresses", n, len(m.addrs("s")))
	}
	owners[pod] = NodeAddress
	table.Reconsider(pod)
	changed()
	table.Expire(start.Add(time.Hour), func(netip.Addr) bool { return false }, 0)
	if changed(); len(m) != 0 || table.Suspects() != 0 || len(table.byAddr) != 0 {
		t.Errorf("in the end %d sets, %d suspects, %d addresses", len(m), table.Suspects(), len(table.byAddr))
	}
}

// TestCarriersChangeHands: what is said of an address holds for those that carry it, from
// the moment on at which it becomes the cluster's.
func TestCarriersChangeHands(t *testing.T) {
	owners := map[netip.Addr]Reason{}
	table, m := NewTable(DefaultLimits), model{}
	table.SetGuard(Guard{Owner: func(a netip.Addr) Reason { return owners[a] }})
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	all := []string{"10.244.1.7", "64:ff9b::10.244.1.7", "2002:af4:107::1", "2002:af4:107::2", "64:ff9b::198.51.100.7"}
	for i, a := range all {
		table.Learn([]Record{recordOf("a.example", a, 60*(i+1)), recordOf(fmt.Sprintf("n%d.example", i), a, 60*(i+1))}, someIP, start)
	}
	pod := netip.MustParseAddr("10.244.1.7")
	left := func() int {
		m.flush(table)
		return len(m.addrs("s"))
	}
	if n := left(); n != len(all) {
		t.Errorf("%d addresses", n)
	}
	owners[pod] = EndpointAddress
	table.Reconsider(pod)
	if n := left(); n != 1 {
		t.Errorf("with a pod at the address within: %d addresses", n)
	}
	for i := range all {
		delete(owners, pod)
		table.Reconsider(pod)
		if n := left(); n != len(all)-i {
			t.Errorf("after %d minutes: %d addresses", i, n)
		}
		owners[pod] = EndpointAddress
		table.Reconsider(pod)
		if n := left(); n != 1 {
			t.Errorf("after %d minutes, with a pod: %d addresses", i, n)
		}
		table.Expire(start.Add(time.Duration(i+1)*time.Minute), func(netip.Addr) bool { return false }, 0)
	}
	if len(table.byAddr) != 0 {
		t.Errorf("%d addresses are left", len(table.byAddr))
	}
}

// TestManyNamesOfOneAddress: an address with many names is looked at as a whole.
func TestManyNamesOfOneAddress(t *testing.T) {
	owned := false
	table, m := NewTable(DefaultLimits), model{}
	table.SetGuard(Guard{Owner: func(netip.Addr) Reason {
		if owned {
			return EndpointAddress
		}
		return NoReason
	}})
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	for i := range 1000 {
		table.Learn([]Record{recordOf(fmt.Sprintf("n%d.example", i), "10.244.1.7", 60+i)}, someIP, start)
	}
	m.flush(table)
	owned = true
	table.Reconsider(netip.MustParseAddr("10.244.1.7"))
	if m.flush(table); len(m) != 0 || table.Suspects() != 1000 {
		t.Errorf("%d sets, %d suspects", len(m), table.Suspects())
	}
	table.Expire(start.Add(560*time.Second), func(netip.Addr) bool { return false }, 0)
	owned = false
	table.Reconsider(netip.MustParseAddr("10.244.1.7"))
	if m.flush(table); len(m) != 1 || table.Suspects() != 0 {
		t.Errorf("%d sets, %d suspects", len(m), table.Suspects())
	}
}

// TestMissedAliases: what a set's author may have meant is noted, boundedly.
func TestMissedAliases(t *testing.T) {
	table := NewTable(DefaultLimits)
	to, shop := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.1")
	table.SetClients(map[netip.Addr]string{to: "a", shop: "shop"})
	table.SetDomains(setKey("cdn"), setOf("cdn", "api.cdn.example"))
	table.SetDomains(setKey("both"), setOf("both", "*.cdn.example", "both.example"))
	ask := func(at int, asked string, aliases ...string) {
		var records []string
		owner := asked
		for _, to := range aliases {
			records = append(records, fmt.Sprintf("%s. 60 IN CNAME %s.", owner, to))
			owner = to
		}
		var a Answer
		if err := a.Parse(answer(t, asked+".", miekg.TypeA, nil, append(records, owner+". 60 IN A 192.0.2.1")...)); err != nil {
			t.Fatal(err)
		}
		table.NoteAliases(a.Records[0].Name, a.Aliases, to, start.Add(time.Duration(at)*time.Second))
	}
	names := func() (out []string) {
		for _, m := range table.MissedAliases() {
			out = append(out, m.Asked+" > "+m.Alias)
		}
		return out
	}
	ask(0, "www.shop.example", "edge.shop.example", "api.cdn.example")
	ask(1, "www.shop.example", "edge.shop.example", "api.cdn.example")
	ask(2, "both.example", "x.cdn.example") // the set has this name
	ask(3, "api.cdn.example", "x.cdn.example")
	ask(4, "other.example", "nobody.example")
	// Set cdn holds api.cdn.example alone, but that is what was asked for last but one.
	want := []string{"www.shop.example > api.cdn.example"}
	if d := cmp.Diff(want, names()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i := range 40 {
		ask(10+i, fmt.Sprintf("n%d.evil.example", i), "api.cdn.example")
	}
	if got := names(); len(got) != maxMissedForAlias || got[0] == want[0] {
		t.Errorf("%d of one alias: %v", len(got), got)
	}
	for i := range 1000 {
		ask(100+i, "n.evil.example", fmt.Sprintf("n%d.cdn.example", i))
	}
	if got := names(); len(got) != maxMissed || len(table.missed.byAlias) > maxMissed {
		t.Errorf("%d in all, of %d aliases", len(got), len(table.missed.byAlias))
	}

	// Another namespace's are seen, however many one has.
	to = shop
	ask(0, "www.shop.example", "edge.shop.example", "api.cdn.example")
	to = netip.MustParseAddr("10.1.0.1")
	for i := range 1000 {
		ask(2000+i, fmt.Sprintf("n%d.evil.example", i), "api.cdn.example")
		ask(2000+i, "n.evil.example", fmt.Sprintf("n%d.cdn.example", i))
	}
	if got := names(); !slices.Contains(got, want[0]) {
		t.Errorf("another namespace's is not among %v", got)
	}
	table.SetDomains(setKey("cdn"), nil)
	table.SetDomains(setKey("both"), nil)
	if got := names(); len(got) != 0 {
		t.Errorf("domains that are no more: %v", got)
	}
}
