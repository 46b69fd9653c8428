package dns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

var (
	start  = time.Unix(1_800_000_000, 0)
	someIP = netip.MustParseAddr("10.0.0.1")
)

func setKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindGlobalNetworkSet, Name: name}
}

func setOf(name string, domains ...string) *policy.Set {
	return &policy.Set{Key: setKey(name), Labels: selector.NewLabels(map[string]string{"set": name}), Domains: domains}
}

// model is the learned sets, kept from what Flush gives out.
type model map[policy.Key]*policy.Set

func (m model) flush(t *Table) uint64 {
	return t.Flush(func(c policy.Change) {
		if c.Object == nil {
			delete(m, c.Key)
			return
		}
		m[c.Key] = c.Object.(*policy.Set)
	})
}

// addrs returns the addresses of the learned sets with a label, sorted.
func (m model) addrs(set string) []netip.Addr {
	seen := map[netip.Addr]bool{}
	for _, s := range m {
		if v, _ := s.Labels.Get("set"); v == set {
			for _, n := range s.Nets {
				seen[n.Addr()] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), netip.Addr.Compare)
}

// reference is a table as plain as can be: facts, and the domains of sets.
type reference struct {
	limits   Limits
	facts    map[refRecord]time.Time
	sets     map[string][]string
	internal map[string]bool       // sets whose names may have addresses of the cluster
	owned    map[netip.Addr]Reason // the cluster's
}

type refRecord struct {
	name string
	addr netip.Addr
}

func (r *reference) inUse(name string) bool {
	for _, domains := range r.sets {
		if slices.ContainsFunc(domains, func(d string) bool { return holds(d, name) }) {
			return true
		}
	}
	return false
}

func (r *reference) learn(f Record, now time.Time) {
	if !r.inUse(f.Name) {
		return
	}
	k := refRecord{f.Name, f.Addr}
	if end := now.Add(min(max(f.TTL, r.limits.Least), r.limits.Most)); end.After(r.facts[k]) {
		r.facts[k] = end
	}
}

func (r *reference) expire(now time.Time, inUse func(netip.Addr) bool, while time.Duration) {
	for k, end := range r.facts {
		if end.After(now) {
			continue
		}
		if inUse(k.addr) {
			r.facts[k] = now.Add(while)
		} else {
			delete(r.facts, k)
		}
	}
}

func (r *reference) addrs(set string) []netip.Addr {
	seen := map[netip.Addr]bool{}
	for k := range r.facts {
		refused := r.owned[k.addr] != NoReason && !r.internal[set] && !holds("*.c", k.name)
		if !refused && slices.ContainsFunc(r.sets[set], func(d string) bool { return holds(d, k.name) }) {
			seen[k.addr] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), netip.Addr.Compare)
}

// TestTableLikeTheReference: after any sequence of answers, changes of sets, of whose
// addresses are, and time, each set has the addresses that the plain reference gives it,
// and a table that is restored from what was saved has them as well.
func TestTableLikeTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{PerName: 1 << 20, PerClient: 1 << 20, Total: 1 << 20, Least: 10 * time.Second, Most: 100 * time.Second}
		table, m := NewTable(limits), model{}
		ref := &reference{
			limits: limits, facts: map[refRecord]time.Time{}, sets: map[string][]string{},
			internal: map[string]bool{}, owned: map[netip.Addr]Reason{},
		}
		guard := Guard{Owner: func(a netip.Addr) Reason { return ref.owned[a] }, Internal: []Domain{{Name: "c", Below: true}}}
		table.SetGuard(guard)
		set := func(name string, domains ...string) *policy.Set {
			s := setOf(name, domains...)
			s.AllowInternal = ref.internal[name]
			return s
		}
		now := start
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 5).Draw(t, "addr"))})
		})
		saved := map[refRecord]Saved{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				name := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "set")
				var domains []string
				for range rapid.IntRange(0, 3).Draw(t, "domains") {
					domains = append(domains, drawDomain(t, "domain"))
				}
				slices.Sort(domains)
				domains = slices.Compact(domains)
				ref.sets[name], ref.internal[name] = domains, rapid.Bool().Draw(t, "allow internal")
				if len(domains) == 0 && rapid.Bool().Draw(t, "gone") {
					table.SetDomains(setKey(name), nil)
				} else {
					table.SetDomains(setKey(name), set(name, domains...))
				}
			case 4:
				a := addr.Draw(t, "whose")
				if ref.owned[a] == NoReason {
					ref.owned[a] = rapid.SampledFrom([]Reason{ClusterIP, EndpointAddress, NodeAddress}).Draw(t, "owner")
					table.Reconsider(a)
				} else {
					delete(ref.owned, a)
					table.ReconsiderRefused()
				}
			case 1, 2:
				f := Record{drawName(t, "name"), addr.Draw(t, "address"), time.Duration(rapid.IntRange(0, 200).Draw(t, "ttl")) * time.Second}
				ref.learn(f, now)
				table.Learn([]Record{f}, someIP, now)
			case 3:
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
				busy := addr.Draw(t, "busy")
				inUse := func(a netip.Addr) bool { return a == busy }
				if table.Due(now) {
					table.Expire(now, inUse, 5*time.Second)
				}
				ref.expire(now, inUse, 5*time.Second)
			}
			if rapid.Bool().Draw(t, "flush") {
				m.flush(table)
			}
			for _, s := range table.Fresh() {
				saved[refRecord{s.Name, s.Addr}] = s
				if s.Expires.Equal(gone) {
					delete(saved, refRecord{s.Name, s.Addr})
				}
			}
		}
		m.flush(table)
		restored, again := NewTable(limits), model{}
		restored.SetGuard(guard)
		restored.Restore(slices.Collect(maps.Values(saved)), now)
		for name, domains := range ref.sets {
			restored.SetDomains(setKey(name), set(name, domains...))
		}
		again.flush(restored)
		each := model{}
		table.Each(func(c policy.Change) { each[c.Key] = c.Object.(*policy.Set) })
		for _, name := range []string{"x", "y"} {
			want := ref.addrs(name)
			for what, got := range map[string][]netip.Addr{"flushed": m.addrs(name), "each": each.addrs(name), "restored": again.addrs(name)} {
				if d := cmp.Diff(want, got, compareAddrs); d != "" {
					t.Errorf("set %s, %s (-want +got):\n%s", name, what, d)
				}
			}
		}
		if n := len(ref.facts); table.Counts().Records != n || len(table.All()) != n {
			t.Errorf("%d records, %d listed, want %d", table.Counts().Records, len(table.All()), n)
		}
	})
}

// TestGenerations: what is new has to be waited for, by everyone who is told it
// before it is in force; what is known has not.
func TestGenerations(t *testing.T) {
	table := NewTable(DefaultLimits)
	learn := func(name, addr string) uint64 {
		return table.Learn([]Record{recordOf(name, addr, 60)}, someIP, start)
	}
	if g := learn("a.example", "192.0.2.1"); g != 0 {
		t.Errorf("a name that is not in use: %d", g)
	}
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	first := table.Flush(func(policy.Change) {})
	g := learn("a.example", "192.0.2.1")
	if g <= first {
		t.Errorf("a new address is of generation %d, flushed was %d", g, first)
	}
	if again := learn("a.example", "192.0.2.1"); again != g {
		t.Errorf("told again before it is in force: %d, want %d", again, g)
	}
	if second := table.Flush(func(policy.Change) {}); second < g {
		t.Errorf("flushed %d, want at least %d", second, g)
	}
	if later := learn("a.example", "192.0.2.2"); later <= g {
		t.Errorf("a later one is of generation %d, want more than %d", later, g)
	}
	if known := learn("a.example", "192.0.2.1"); known != g {
		t.Errorf("a known one is of generation %d, want %d", known, g)
	}
}

// TestLimits: a name that rotates keeps its newest addresses; who asks for too much
// hurts nobody else.
func TestLimits(t *testing.T) {
	table := NewTable(Limits{PerName: 3, PerClient: 5, Total: 8, Least: time.Second, Most: time.Hour})
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	m := model{}
	other := netip.MustParseAddr("10.0.0.2")
	for i := range 5 {
		table.Learn([]Record{recordOf("a.example", fmt.Sprintf("192.0.2.%d", i), 60)}, someIP, start.Add(time.Duration(i)*time.Second))
	}
	m.flush(table)
	if got, want := fmt.Sprint(m.addrs("s")), "[192.0.2.2 192.0.2.3 192.0.2.4]"; got != want {
		t.Errorf("a name with too many addresses has %s, want %s", got, want)
	}
	for i := range 5 {
		table.Learn([]Record{recordOf(fmt.Sprintf("b%d.example", i), "192.0.2.9", 60)}, someIP, start)
	}
	if c := table.Counts(); c.OverName != 2 || c.OverClient != 3 || c.Records != 5 {
		t.Errorf("after too many names of one client: %+v", c)
	}
	for i := range 5 {
		table.Learn([]Record{recordOf(fmt.Sprintf("c%d.example", i), "192.0.2.10", 60)}, other, start)
	}
	if c := table.Counts(); c.OverTotal != 2 || c.Records != 8 {
		t.Errorf("after too many in all: %+v", c)
	}
	table.Expire(start.Add(time.Hour), func(netip.Addr) bool { return false }, 0)
	m.flush(table)
	if c := table.Counts(); c.Records != 0 || c.Names != 0 || len(m) != 0 || len(table.clients) != 0 {
		t.Errorf("after all have expired: %+v, %v", c, m)
	}
}

// TestTwoNamesOfOneAddress: a rule for one name does not lose its address, or get
// another's, because two names share it.
func TestTwoNamesOfOneAddress(t *testing.T) {
	table, m := NewTable(DefaultLimits), model{}
	table.SetDomains(setKey("a"), setOf("a", "a.example"))
	table.SetDomains(setKey("b"), setOf("b", "b.example", "c.example"))
	table.Learn([]Record{recordOf("a.example", "192.0.2.1", 100), recordOf("b.example", "192.0.2.1", 200), recordOf("c.example", "192.0.2.1", 300)}, someIP, start)
	for _, step := range []struct {
		after time.Duration
		a, b  int
	}{{0, 1, 1}, {150 * time.Second, 0, 1}, {250 * time.Second, 0, 1}, {350 * time.Second, 0, 0}} {
		table.Expire(start.Add(step.after), func(netip.Addr) bool { return false }, 0)
		m.flush(table)
		if a, b := len(m.addrs("a")), len(m.addrs("b")); a != step.a || b != step.b {
			t.Errorf("after %s: %d and %d addresses, want %d and %d", step.after, a, b, step.a, step.b)
		}
	}
}

// TestChunks: many addresses are many small sets, and one more changes one of them.
func TestChunks(t *testing.T) {
	table, m := NewTable(DefaultLimits), model{}
	table.SetDomains(setKey("s"), setOf("s", "*.example"))
	name := func(i int) Record {
		return recordOf(fmt.Sprintf("n%d.example", i), netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String(), 60+i)
	}
	for i := range 1000 {
		table.Learn([]Record{name(i)}, someIP, start)
	}
	m.flush(table)
	if len(m) != 8 || len(m.addrs("s")) != 1000 {
		t.Errorf("%d sets with %d addresses", len(m), len(m.addrs("s")))
	}
	table.Learn([]Record{name(1000)}, someIP, start)
	changes := 0
	table.Flush(func(c policy.Change) { changes, m[c.Key] = changes+1, c.Object.(*policy.Set) })
	if changes != 1 {
		t.Errorf("an address more changes %d sets", changes)
	}
	// Half of them expire; what comes then finds room in the sets that are there.
	table.Expire(start.Add(560*time.Second), func(netip.Addr) bool { return false }, 0)
	for i := 2000; i < 2500; i++ {
		table.Learn([]Record{name(i)}, someIP, start.Add(560*time.Second))
	}
	m.flush(table)
	if len(m) > 8 || len(m.addrs("s")) != 1000 {
		t.Errorf("%d sets with %d addresses", len(m), len(m.addrs("s")))
	}
	table.SetDomains(setKey("s"), setOf("s", "n2001.example"))
	m.flush(table)
	if len(m) != 1 || fmt.Sprint(m.addrs("s")) != "[198.18.7.209]" {
		t.Errorf("after a change of domains: %d sets, %v", len(m), m.addrs("s"))
	}
}
