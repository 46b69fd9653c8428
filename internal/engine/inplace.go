package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// In-place update. All policies of a host are in one program, so that a change of one of them
// makes another program, and everything that refers to the old one would have to change. But where
// the new program replaces the old one everywhere, the old one gets the rules of the new one
// and keeps its number: then only cells change, those that rules speak of which came or went.

// updateInPlace goes through attachments that are to be emitted. A program with a number above
// before is new; where one replaces a program that nothing else uses, that one is updated
// with its rules, the attachments refer to it again, and the new one is gone.
func (e *compiler) updateInPlace(attachments []*hostAttachment, before uint32) {
	replaced := map[uint32]uint32{} // from the new program to the old one that gets its rules
	taken := map[uint32]bool{}
	match := func(was, is dataplane.ProgramID) {
		o, n := uint32(was), uint32(is)
		if o == 0 || n <= before || replaced[n] != 0 || taken[o] {
			return
		}
		if p := e.programs.byID[o]; p.refs == 0 && !p.isNew {
			replaced[n], taken[o] = o, true
		}
	}
	for _, p := range attachments {
		was, ok := e.hosts.attachments[p.AttachmentKey]
		if !ok {
			continue
		}
		match(was.Base, p.Base)
		for _, x := range p.Programs {
			match(was.ProgramFor(x.Class), x.Program)
		}
	}
	if len(replaced) == 0 {
		return
	}
	for _, n := range sortedKeys(replaced) {
		e.update(e.programs.byID[replaced[n]], e.programs.byID[n])
	}
	for _, p := range attachments {
		if o := replaced[uint32(p.Base)]; o != 0 {
			p.Base = dataplane.ProgramID(o)
		}
		for i := range p.Programs {
			if o := replaced[uint32(p.Programs[i].Program)]; o != 0 {
				p.Programs[i].Program = dataplane.ProgramID(o)
			}
		}
		for i, id := range p.programs {
			if o := replaced[id]; o != 0 {
				p.programs[i] = o
			}
		}
	}
}

// update gives a program the rules of the next one, which was made in this flush, deletes
// that one, and marks the cells of which the row may be another one then.
func (e *compiler) update(p, next *program) {
	id := uint32(p.id)
	delete(e.programs.byID, uint32(next.id))
	delete(e.pending.programs, uint32(next.id))
	delete(e.programs.byKey, p.key)
	e.programs.byKey[next.key] = id
	e.releaseEnds(p)
	was := p.rules
	widely := !slices.Equal(p.own, next.own)
	p.key, p.hook, p.rules, p.ends, p.governed, p.own, p.refs = next.key, next.hook, next.rules, next.ends, next.governed, next.own, next.refs

	// The rules are the same up to first, and behind that from the end.
	first, same := 0, func(a, b tierRule) bool { return a.rule == b.rule && a.tier == b.tier }
	for first < len(was) && first < len(p.rules) && same(was[first], p.rules[first]) {
		first++
	}
	oldEnd, newEnd := len(was), len(p.rules)
	for oldEnd > first && newEnd > first && same(was[oldEnd-1], p.rules[newEnd-1]) {
		oldEnd--
		newEnd--
	}
	predicates := map[uint32]struct{}{}
	named := false
	for _, r := range slices.Concat(was[first:oldEnd], p.rules[first:newEnd]) {
		widely = widely || r.peer == 0 || e.trueOfWorld(next.family, r.peer)
		named = named || len(r.names(false)) > 0
		predicates[r.peer] = struct{}{}
	}
	delete(predicates, 0)
	p.moveRules(predicates, first, oldEnd, newEnd)
	for _, pred := range sortedKeys(predicates) {
		e.markCellsOf(p, pred)
		i, had := slices.BinarySearch(p.predicates, pred)
		switch has := len(p.byPredicate[pred]) > 0; {
		case has && !had:
			p.predicates = slices.Insert(p.predicates, i, pred)
			e.predicates.at(pred).programs.Add(id)
		case had && !has:
			p.predicates = slices.Delete(p.predicates, i, i+1)
			e.predicates.at(pred).programs.Remove(id)
			delete(p.byPredicate, pred)
		}
	}
	if named {
		e.refileNames(p)
	}
	if widely {
		e.rebase(p)
	}
}

// moveRules brings where rules stand in line with rules of which those from first to
// newEnd stand where those from first to oldEnd stood. predicates are what both demand.
func (p *program) moveRules(predicates map[uint32]struct{}, first, oldEnd, newEnd int) {
	shift := func(list []int) []int {
		kept := list[:0]
		for _, at := range list {
			switch {
			case at < first:
				kept = append(kept, at)
			case at >= oldEnd:
				kept = append(kept, at+newEnd-oldEnd)
			}
		}
		return kept
	}
	p.always = shift(p.always)
	for pred, list := range p.byPredicate {
		if _, touched := predicates[pred]; touched || newEnd != oldEnd {
			p.byPredicate[pred] = shift(list)
		}
	}
	for at := first; at < newEnd; at++ {
		if pred := p.rules[at].peer; pred != 0 {
			p.byPredicate[pred] = insertSorted(p.byPredicate[pred], at)
		} else {
			p.always = insertSorted(p.always, at)
		}
	}
}

// refileNames looks again at which names of ports the rules look up at the peer.
func (e *compiler) refileNames(p *program) {
	was := p.names
	p.names = nil
	for _, r := range p.rules {
		p.names = append(p.names, r.names(false)...)
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	for _, n := range union(was, p.names) {
		for _, pred := range e.predicates.names.at(n).predicates {
			e.markCellsOf(p, pred)
		}
	}
	eachDifference(was, p.names, func(n uint32, added bool) {
		if added {
			e.predicates.names.at(n).programs.Add(uint32(p.id))
		} else {
			e.predicates.names.at(n).programs.Remove(uint32(p.id))
		}
	})
}
