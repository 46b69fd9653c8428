package nft

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// A class switch sends a packet on by the class of one of its ends: a workload's
// peer, the local side at an attachment of a host endpoint, the peer of a host's program.
//
//	chain NAME               what comes first
//	                         addr @known4 goto NAME-node-… (addresses with a class of their own)
//	                         addr vmap @NETS (intervals: to their class's target)
//	                         nets of classes of many intervals, by their length: see netlevels.go
//	                         what all other classes get
//	chain NAME-node-LEVEL-N  one digit of the class's slot: which child to go to
//
// What must hold:
//
//   - A switch is a value. A step makes the next one; the old one stays as it is,
//     for the kernel may refuse the step.
//   - A chain is a function of the switch and the lookup tables: its name says
//     which, and it does not matter how they were reached. So the difference of two
//     states is the difference of what they have under the names that may differ.
//   - There is a chain of a node if, and only if, a class below it has a target.
type classSwitch struct {
	name   string
	nets   string // the interval map
	family int
	side   side
	// order is that of the entry chain when it is deleted; its nodes follow, and then the map.
	order, netsOrder codec.DeleteOrder
	first            []codec.Rule
	targets          targets
	otherwise        codec.Verdict
	// complete says that every class has a target: no address is in a slot without
	// one, and nothing needs to be said of those.
	complete bool

	// Derived from targets and the lookup tables, by settle or step.
	slots   []uint32 // of classes with a target, sorted
	spans   int      // intervals in the map
	leveled bool     // large classes are among those with a target
}

// targets say where packets of a class go. What they say does not change.
type targets interface {
	has(dataplane.ClassID) bool
	// of returns the target of a class that has one.
	of(dataplane.ClassID) codec.Verdict
}

// node is a node of the tree of digits: at level 1 its children are classes. Its slots
// are those that begin with index, when as many digits as its level are taken off.
type node struct {
	level int
	index uint32
}

func nodeOrder(entry codec.DeleteOrder, n node) codec.DeleteOrder {
	return entry + 1 + codec.DeleteOrder(31-n.level)
}

// settle derives the slots and counts the spans.
func (s *classSwitch) settle(l *lookupTables) {
	s.slots, s.spans = nil, 0
	for class, slot := range l.slots[s.family].of {
		if s.targets.has(class) {
			s.slots = append(s.slots, slot)
		}
	}
	slices.Sort(s.slots)
	s.leveled = s.usesLevels(l)
	for _, v := range l.intervals[s.family] {
		if s.mapped(l, v.class) != (codec.Verdict{}) {
			s.spans++
		}
	}
}

// has reports whether a class under the node has a target.
func (s *classSwitch) has(n node) bool {
	i, _ := slices.BinarySearch(s.slots, n.index<<(2*n.level))
	return i < len(s.slots) && s.slots[i]>>(2*n.level) == n.index
}

func (s *classSwitch) nodeName(n node) string {
	return fmt.Sprintf("%s-node-%d-%d", s.name, n.level, n.index)
}

// way says where packets go from the chain that leads to a node.
func (s *classSwitch) way(t *slots, n node) codec.Verdict {
	switch {
	case !s.has(n):
		return s.otherwise
	case n.level == 0:
		return s.targets.of(t.at[n.index])
	}
	return goTo(s.nodeName(n))
}

// entry returns the chain where packets arrive.
func (s *classSwitch) entry(l *lookupTables) codec.ChainRules {
	t := l.slots[s.family]
	c := codec.ChainRules{Name: s.name, Order: s.order, Rules: slices.Clone(s.first)}
	load := address(s.family, s.side)
	if len(t.at) > 0 && (len(s.slots)+s.spans > 0 || s.leveled) {
		known := join(isFamily(s.family), []codec.Expr{load, inSet(knownName(s.family))})
		c.Rules = append(c.Rules, when(known, s.way(t, node{t.levels(), 0})))
	}
	if s.spans > 0 {
		c.Rules = append(c.Rules, byAddress(s.family, s.side, s.nets))
	}
	if s.leveled {
		levels, all := l.levels[s.family].rules(s)
		if c.Rules = append(c.Rules, levels...); all {
			return c
		}
	}
	c.Rules = append(c.Rules, always(s.otherwise))
	return c
}

// node returns the chain of a node, if there is one.
func (s *classSwitch) node(t *slots, n node) (codec.ChainRules, bool) {
	if n.level < 1 || n.level > t.levels() || !s.has(n) {
		return codec.ChainRules{}, false
	}
	c := codec.ChainRules{Name: s.nodeName(n), Order: nodeOrder(s.order, n)}
	last := s.way(t, node{n.level - 1, n.index * 4})
	for value := range 3 {
		child := node{n.level - 1, n.index*4 + uint32(value) + 1}
		if s.complete && !s.has(child) {
			continue
		}
		if way := s.way(t, child); way != last {
			// No match on the family, for speed: only packets of one come here.
			digit := inSet(digitSetName(s.family, 3*(n.level-1)+value))
			c.Rules = append(c.Rules, when([]codec.Expr{address(s.family, s.side), digit}, way))
		}
	}
	c.Rules = append(c.Rules, always(last))
	return c, true
}

// nodes returns the nodes that have a chain, from the leaves up.
func (s *classSwitch) nodes(t *slots) []node {
	var all []node
	for level := 1; level <= t.levels(); level++ {
		for _, slot := range s.slots {
			n := node{level, slot >> (2 * level)}
			if i := len(all) - 1; i < 0 || all[i] != n {
				all = append(all, n)
			}
		}
	}
	return all
}

func (s *classSwitch) netsSpec() codec.SetSpec {
	spec := addrMap(s.nets, s.family)
	spec.Interval = true
	return spec
}

// usesLevels reports whether a large class has a target.
func (s *classSwitch) usesLevels(l *lookupTables) bool {
	for class := range l.levels[s.family].large {
		if s.targets.has(class) {
			return true
		}
	}
	return false
}

// mapped returns the verdict of a class's intervals in the map; zero if they are not there.
func (s *classSwitch) mapped(l *lookupTables, class dataplane.ClassID) codec.Verdict {
	switch {
	case l.levels[s.family].large[class]:
		return codec.Verdict{}
	case s.targets.has(class):
		return s.targets.of(class)
	case s.leveled:
		return s.otherwise
	}
	return codec.Verdict{}
}

// elements returns the elements of a span.
func elements(v span, to codec.Verdict) []codec.Element {
	list := []codec.Element{{Key: addrKey(v.first), Verdict: to}}
	if v.next.IsValid() {
		list = append(list, codec.Element{Key: addrKey(v.next), End: true})
	}
	return list
}

// emit hands out all of a switch.
func (s *classSwitch) emit(l *lookupTables, out sink) {
	t := l.slots[s.family]
	out.AddChain(s.entry(l))
	for _, n := range s.nodes(t) {
		c, _ := s.node(t, n)
		out.AddChain(c)
	}
	if s.spans == 0 {
		return
	}
	out.AddSet(s.netsSpec())
	for v := range spans(l.intervals[s.family], 0, len(l.intervals[s.family])) {
		if to := s.mapped(l, v.class); to != (codec.Verdict{}) {
			for _, e := range elements(v, to) {
				out.AddElement(s.nets, e)
			}
		}
	}
}

// remove takes all of a switch away.
func (s *classSwitch) remove(l *lookupTables, out *codec.Batch) {
	out.DelChain(s.name, s.order)
	for _, n := range s.nodes(l.slots[s.family]) {
		out.DelChain(s.nodeName(n), nodeOrder(s.order, n))
	}
	if s.spans > 0 {
		out.DelSet(s.nets, s.netsOrder)
	}
}
