package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/policy"
)

// TestFlatten holds intervals against the longest prefix, address by address at
// all borders, and the steps against intervals made from scratch.
func TestFlatten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := dataplane.NewState(), tabletest.Empty()
		next := tabletest.First()
		var lists [2][]interval
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			d := m.Step(next)
			if err := s.Apply(d); err != nil {
				t.Fatal(err)
			}
			m = next
			var touched [2][]netip.Prefix
			for p := range d.SetNets {
				touched[familyOf(p.Addr())] = append(touched[familyOf(p.Addr())], p)
			}
			for _, p := range d.DelNets {
				touched[familyOf(p.Addr())] = append(touched[familyOf(p.Addr())], p)
			}
			for family, list := range lists {
				if len(touched[family]) > 0 {
					lists[family] = checkReflatten(t, s, list, touched[family])
				}
				if want := flatten(s, dataplane.WholeFamilies[family]); !slices.Equal(lists[family], want) {
					t.Fatalf("got %v, want %v", lists[family], want)
				}
				checkIntervals(t, m, lists[family])
			}
			next = m.Next(t)
		}
	})
}

// checkReflatten checks that the difference leads from the old spans to the new.
func checkReflatten(t *rapid.T, s *dataplane.State, old []interval, touched []netip.Prefix) []interval {
	list, diff := reflatten(s, old, touched)
	set := map[span]int{}
	for v := range spans(old, 0, len(old)) {
		set[v]++
	}
	for v, n := range diff {
		if set[v] += n; set[v] == 0 {
			delete(set, v)
		}
	}
	for v := range spans(list, 0, len(list)) {
		if set[v] != 1 {
			t.Fatalf("span %v: %d times", v, set[v])
		}
		delete(set, v)
	}
	if len(set) > 0 {
		t.Fatalf("left over: %v", set)
	}
	return list
}

// checkIntervals checks the classes at the borders of intervals, and that no two
// neighbours are of one class.
func checkIntervals(t *rapid.T, m *tabletest.Model, list []interval) {
	nets := tabletest.Model{Nets: m.Nets} // addresses of their own aside
	for i, v := range list {
		if i > 0 && list[i-1].class == v.class {
			t.Fatalf("%v and %v are one", list[i-1], v)
		}
		if got := nets.Class(v.first); got != v.class {
			t.Fatalf("%v: class %d", v, got)
		}
		if before := v.first.Prev(); i > 0 && nets.Class(before) != list[i-1].class {
			t.Fatalf("%v: class %d, want %d", before, nets.Class(before), list[i-1].class)
		}
	}
	if n := len(list); n == 0 || list[0].first != dataplane.WholeFamilies[familyOf(list[0].first)].Addr() ||
		nets.Class(last(dataplane.WholeFamilies[familyOf(list[0].first)])) != list[n-1].class {
		t.Fatalf("%v does not hold the whole space", list)
	}
}

func TestDigitSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSlots(0)
		have := map[dataplane.ClassID]int{}
		for id := range dataplane.ClassID(rapid.IntRange(0, 70).Draw(t, "classes")) {
			have[id+1] = rapid.IntRange(1, 5).Draw(t, "population")
		}
		s.fill(have)
		for i := range rapid.IntRange(0, 30).Draw(t, "changes") {
			id := dataplane.ClassID(rapid.IntRange(1, 100).Draw(t, "class"))
			if _, ok := have[id]; ok {
				s.free(id)
				delete(have, id)
			} else {
				s.take(id)
				have[id] = i
			}
		}
		// Walk the tree as a packet does, by the digit sets of the class's slot.
		p := path{}
		tree := p.classSwitch()
		none := newNetLevels(dataplane.NewState(), 0, nil)
		tree.settle(&lookupTables{slots: [2]*slots{s, newSlots(1)}, levels: [2]*netLevels{none, none}})
		chains := map[string]codec.ChainRules{}
		for _, n := range tree.nodes(s) {
			c, _ := tree.node(s, n)
			chains[c.Name] = c
		}
		for id := range have {
			at := tree.way(s, node{s.levels(), 0}).Chain
			for chains[at].Rules != nil {
				at = follow(s, chains[at].Rules, s.of[id])
			}
			if at != p.className(id) {
				t.Fatalf("class %d at slot %d ends in %q", id, s.of[id], at)
			}
		}
		if len(have) == 0 && tree.way(s, node{s.levels(), 0}) != drop {
			t.Fatal("a tree without classes")
		}
	})
}

// follow returns the chain that a packet of a slot goes to.
func follow(s *slots, rules []codec.Rule, slot uint32) string {
	for _, r := range rules {
		matches := true
		for _, e := range r.Exprs {
			if e.Kind != codec.Lookup {
				continue
			}
			matches = false
			for i := range s.digitSets() {
				matches = matches || digitSetName(0, i) == e.Set && inDigitSet(slot, i)
			}
		}
		if matches {
			return r.Exprs[len(r.Exprs)-1].Verdict.Chain
		}
	}
	return ""
}

func TestBoundaries(t *testing.T) {
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	apply(t, b, tabletest.Empty().Step(podTables()))
	k, err := b.ReadBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bounds := k.Boundaries()
	if !slices.Equal(bounds.Locals, []netip.Addr{podA4, podB4, podA6, podB6}) {
		t.Errorf("locals %v", bounds.Locals)
	}
	for _, a := range []netip.Addr{officeNet4.Addr(), officeNet4.Addr().Prev(), last(officeNet4), last(officeNet6).Next(), podB4} {
		if !slices.Contains(bounds.Addrs, a) {
			t.Errorf("no address %v", a)
		}
	}
	for _, f := range [][3]uint16{{6, 443, 49152}, {6, 444, 49152}, {6, 8101, 49152}, {6, 8091, 49152}, {6, 9000, 5999}, {6, 9000, 6000}, {17, 52, 49152}, {254, 0, 0}} {
		if want := flowAt(policyProtocol(f[0]), f[1], f[2]); !slices.Contains(bounds.Points, want) {
			t.Errorf("no point %+v", want)
		}
	}
}

func policyProtocol(n uint16) policy.Protocol { return policy.Protocol(n) }
