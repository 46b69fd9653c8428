package budget

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Nets that the same rules list, or except, are one group: one class of addresses for the policy, with one row.
// A net within others is in what these are in, too. What peers select by labels is a group for each
// rule: who is in several cannot be told from the policy.

// listing is that a rule lists a net, or excepts it.
type listing struct {
	net netip.Prefix
	ref int32 // rule * 2, + 1 for an exception
}

// group is the nets that differ from the world's by the same rules.
type group struct {
	dst, src int64 // spans of ports of the rules by which it differs
}

// groupKey names a group by that around it and what it differs by from that: nothing is
// written out twice, however deep nets lie in one another.
type groupKey struct {
	around int32
	refs   string
}

// grouping goes through the nets of one direction.
type grouping struct {
	*side
	all, world *regionCost

	groups []group // the first is the world
	byKey  map[groupKey]int32
	active []int32 // by reference: how many of the nets around list it

	differences, rows int64
	by                shares // of the differences
}

// groups returns what the nets of a direction cost: in how many ports they differ from the world, and
// how many regions the rows of all of them have.
func (s *side) groups(all, world *regionCost) (differences, rows Amount) {
	g := grouping{
		side: s, all: all, world: world, groups: make([]group, 1), byKey: map[groupKey]int32{},
		active: make([]int32, 2*len(s.rules)), by: shares{}, rows: world.total,
	}
	g.walk(g.listings())
	differences = g.by.amount(s.dir)
	differences.N = g.differences
	rows = differences // it is the same rules that make rows
	rows.N, rows.Share = g.rows, int64(float64(differences.Share)*float64(g.rows)/float64(max(1, g.differences)))
	return differences, rows
}

// listings returns what rules say of nets, sorted such that a net comes before those within it; what
// they say of sets becomes groups at once.
func (g *grouping) listings() []listing {
	var out []listing
	for i := range g.rules {
		r := &g.rules[i]
		p, ref := g.peer(r), int32(2*i) //nolint:gosec // at most MaxRules
		if p.Nets == nil && p.Set != nil {
			g.ofSet(ref)
		}
		if p.NotSet != nil {
			g.ofSet(ref + 1)
		}
		for _, n := range p.Nets {
			if n.Bits() > 0 {
				out = append(out, listing{n.Masked(), ref})
			}
		}
		for _, n := range p.NotNets {
			out = append(out, listing{n.Masked(), ref + 1})
		}
	}
	g.work += int64(len(out))
	slices.SortFunc(out, func(a, b listing) int {
		return cmp.Or(a.net.Addr().Compare(b.net.Addr()), cmp.Compare(a.net.Bits(), b.net.Bits()), cmp.Compare(a.ref, b.ref))
	})
	return slices.Compact(out)
}

// ofSet counts the addresses that a rule selects or leaves out by their labels.
func (g *grouping) ofSet(ref int32) {
	g.within(0, []int32{ref})
	g.by[g.rules[ref/2].Index] += g.weight(ref)
}

// around is a net that the walk is in.
type around struct {
	net   netip.Prefix
	group int32
	refs  []int32 // that became active with it
	known int     // groups there were before
}

// walk goes through the nets, each time with those around it.
func (g *grouping) walk(list []listing) {
	var stack []around
	leave := func() {
		a := &stack[len(stack)-1]
		for _, ref := range a.refs {
			g.active[ref]--
			r := &g.rules[ref/2]
			g.by[r.Index] += g.weight(ref) * int64(len(g.groups)-a.known)
		}
		stack = stack[:len(stack)-1]
	}
	for len(list) > 0 {
		net := list[0].net
		for len(stack) > 0 && !contains(stack[len(stack)-1].net, net) {
			leave()
		}
		a := around{net: net, known: len(g.groups)}
		if len(stack) > 0 {
			a.group = stack[len(stack)-1].group
		}
		for ; len(list) > 0 && list[0].net == net; list = list[1:] {
			if ref := list[0].ref; g.active[ref] == 0 {
				g.active[ref]++
				a.refs = append(a.refs, ref)
			}
		}
		a.group = g.within(a.group, a.refs)
		stack = append(stack, a)
	}
	for len(stack) > 0 {
		leave()
	}
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// weight returns in how many ports a net differs by one rule.
func (g *grouping) weight(ref int32) int64 {
	b := g.boxOf[ref/2]
	return g.destinations(b) + g.sources(b)
}

// within returns the group of what differs from another one by some rules, and counts what it costs
// if it is new.
func (g *grouping) within(parent int32, refs []int32) int32 {
	if len(refs) == 0 {
		return parent
	}
	g.work += int64(len(refs))
	key := groupKey{around: parent, refs: text(refs)}
	if id, known := g.byKey[key]; known {
		return id
	}
	now := g.groups[parent]
	for _, ref := range refs {
		b := g.boxOf[ref/2]
		now.dst += g.destinations(b)
		now.src += g.sources(b)
	}
	id := int32(len(g.groups)) //nolint:gosec // at most MaxNets and twice MaxRules
	g.byKey[key] = id
	g.groups = append(g.groups, now)
	g.differences += min(g.all.total, now.dst+now.src*(1+g.all.spans)+now.dst*g.world.sources)
	if g.all.sources > 0 {
		g.rows += g.all.total // ports by ports: no sum bounds it
	} else {
		g.rows += min(g.all.total, g.world.total+2*now.dst)
	}
	return id
}

// text returns numbers as what can be compared.
func text(refs []int32) string {
	b := make([]byte, 0, 4*len(refs))
	for _, ref := range refs {
		b = binary.LittleEndian.AppendUint32(b, uint32(ref)) //nolint:gosec // never negative
	}
	return string(b)
}
