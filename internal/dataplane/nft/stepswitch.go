package nft

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// stepChains writes the difference between what two states have under some names:
// what is new is added, what is gone is deleted, and what has other rules gets them.
// Names that do not differ cost rendering and no message.
func stepChains[Name comparable](out *codec.Batch, touched map[Name]bool, was, is func(Name) (codec.ChainRules, bool)) {
	for name := range touched {
		old, had := was(name)
		c, has := is(name)
		switch {
		case has && !had:
			out.AddChain(c)
		case had && !has:
			out.DelChain(old.Name, old.Order)
		case has && !codec.EqualRules(old.Rules, c.Rules):
			out.SetRules(c)
		}
	}
}

// classSet is a set of classes.
type classSet map[dataplane.ClassID]bool

// switchChange says what changes of what one family's switches are made from.
type switchChange struct {
	targets classSet     // classes whose target may come, go or be another one
	slots   classSet     // classes whose slot comes, goes or is another one
	spans   map[span]int // gone (-1) and new (+1)
	large   classSet     // classes that were large, or are, and not both
	levels  bool         // the levels have other sets
}

func (c switchChange) none() bool {
	return len(c.targets)+len(c.slots)+len(c.spans)+len(c.large) == 0 && !c.levels
}

// step writes the way from one switch to the next one of the same name, which
// has its targets but is not settled: step does that. Addresses cost nothing here.
func (s *classSwitch) step(was *classSwitch, from, to *lookupTables, c switchChange, out *codec.Batch) {
	before, now := from.slots[s.family], to.slots[s.family]
	ceases, begins := s.moved(was, c)
	s.leveled = s.usesLevels(to)
	s.stepSpans(was, from, to, c, out)
	changed := s.stepSlots(was, before, now, c, ceases, begins)
	stepChains(out, s.touched(was, before, now, changed),
		func(n node) (codec.ChainRules, bool) { return was.node(before, n) },
		func(n node) (codec.ChainRules, bool) { return s.node(now, n) })
	same := len(changed) == 0 && s.sameLevels(was, to, c) && s.otherwise == was.otherwise && (s.spans > 0) == (was.spans > 0) &&
		before.levels() == now.levels() && (len(before.at) > 0) == (len(now.at) > 0) && codec.EqualRules(s.first, was.first)
	if same {
		return // what the entry is made from: rendering it costs more than all else, where one net changes
	}
	if entry := s.entry(to); !codec.EqualRules(entry.Rules, was.entry(from).Rules) {
		out.SetRules(entry)
	}
}

// moved returns the classes of a change that cease to have, and that begin to have,
// the target that they have; a class with another target is both.
func (s *classSwitch) moved(was *classSwitch, c switchChange) (ceases, begins classSet) {
	if len(c.targets) == 0 {
		return nil, nil
	}
	ceases, begins = classSet{}, classSet{}
	for class := range c.targets {
		had, has := was.targets.has(class), s.targets.has(class)
		if had && has && was.targets.of(class) == s.targets.of(class) {
			continue
		}
		if had {
			ceases[class] = true
		}
		if has {
			begins[class] = true
		}
	}
	return ceases, begins
}

// sameLevels reports whether the lookups by levels are as they were, but for the way of
// packets that are of no class with a target.
func (s *classSwitch) sameLevels(was *classSwitch, to *lookupTables, c switchChange) bool {
	if s.leveled != was.leveled || s.leveled && c.levels {
		return false
	}
	for class := range c.targets {
		if to.levels[s.family].large[class] {
			return false
		}
	}
	return true
}

// remapped returns the classes whose intervals cease to be in the map with the verdict
// that they had, and that begin to be with the one that they have.
func (s *classSwitch) remapped(was *classSwitch, from, to *lookupTables, c switchChange) (ceases, begins classSet) {
	ceases, begins = classSet{}, classSet{}
	look := func(class dataplane.ClassID) {
		old, now := was.mapped(from, class), s.mapped(to, class)
		if old == now {
			return
		}
		if old != (codec.Verdict{}) {
			ceases[class] = true
		}
		if now != (codec.Verdict{}) {
			begins[class] = true
		}
	}
	for class := range c.targets {
		look(class)
	}
	for class := range c.large {
		look(class)
	}
	if was.leveled != s.leveled || s.leveled && was.otherwise != s.otherwise {
		for class := range from.levels[s.family].spans {
			look(class)
		}
		for class := range to.levels[s.family].spans {
			look(class)
		}
	}
	return ceases, begins
}

// stepSpans writes the elements of intervals that changed, or whose classes begin or
// cease to be in the map.
func (s *classSwitch) stepSpans(was *classSwitch, from, to *lookupTables, c switchChange, out *codec.Batch) {
	ceases, begins := s.remapped(was, from, to, c)
	gone, come := make([]span, 0, 8), make([]span, 0, 8) // on the stack: most often there are few
	for v, n := range c.spans {
		if n < 0 && was.mapped(from, v.class) != (codec.Verdict{}) {
			gone = append(gone, v)
		}
		if n > 0 && s.mapped(to, v.class) != (codec.Verdict{}) {
			come = append(come, v)
		}
	}
	gone = append(gone, spansOf(from.intervals[s.family], ceases, c.spans, -1)...)
	come = append(come, spansOf(to.intervals[s.family], begins, c.spans, 1)...)
	s.spans = was.spans + len(come) - len(gone)
	if was.spans == 0 && s.spans > 0 {
		out.AddSet(s.netsSpec())
	}
	for _, v := range come {
		for _, e := range elements(v, s.mapped(to, v.class)) {
			out.AddElement(s.nets, e)
		}
	}
	if s.spans == 0 && was.spans > 0 {
		out.DelSet(s.nets, s.netsOrder) // its elements go with it
		return
	}
	for _, v := range gone {
		for _, e := range elements(v, was.mapped(from, v.class)) {
			out.DelElement(s.nets, e)
		}
	}
}

// spansOf returns the spans of some classes, but for those that are in counted
// with that count.
func spansOf(list []interval, classes classSet, counted map[span]int, count int) []span {
	if len(classes) == 0 {
		return nil
	}
	var found []span
	for v := range spans(list, 0, len(list)) {
		if classes[v.class] && counted[v] != count {
			found = append(found, v)
		}
	}
	return found
}

// stepSlots derives the slots, and returns those that come, go or have another target.
func (s *classSwitch) stepSlots(was *classSwitch, before, now *slots, c switchChange, ceases, begins classSet) map[uint32]bool {
	if len(c.targets)+len(c.slots) == 0 {
		s.slots = was.slots
		return nil
	}
	changed := map[uint32]bool{}
	look := func(class dataplane.ClassID) {
		old, had := before.of[class]
		slot, has := now.of[class]
		had, has = had && was.targets.has(class), has && s.targets.has(class)
		if had == has && old == slot && !ceases[class] && !begins[class] {
			return
		}
		if had {
			changed[old] = true
		}
		if has {
			changed[slot] = true
		}
	}
	for class := range c.targets {
		look(class)
	}
	for class := range c.slots {
		look(class)
	}
	s.slots = slices.Clone(was.slots)
	for slot := range changed {
		// A slot that one class leaves and another takes stays in the list.
		i, in := slices.BinarySearch(s.slots, slot)
		class := now.classAt(slot)
		switch has := class != 0 && s.targets.has(class); {
		case has && !in:
			s.slots = slices.Insert(s.slots, i, slot)
		case !has && in:
			s.slots = slices.Delete(s.slots, i, i+1)
		}
	}
	return changed
}

// touched returns the nodes whose chains may differ: those that lead to slots which
// changed, or all if what others get or the number of digits did.
func (s *classSwitch) touched(was *classSwitch, before, now *slots, changed map[uint32]bool) map[node]bool {
	touched := map[node]bool{}
	if s.otherwise != was.otherwise || before.levels() != now.levels() {
		for _, n := range was.nodes(before) {
			touched[n] = true
		}
		for _, n := range s.nodes(now) {
			touched[n] = true
		}
	}
	for level := 1; level <= max(before.levels(), now.levels()); level++ {
		for slot := range changed {
			touched[node{level, slot >> (2 * level)}] = true
		}
	}
	return touched
}
