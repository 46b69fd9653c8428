package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// Where a program of host endpoints takes the place of another one everywhere, that
// one becomes it and keeps its number: then what changes are the cells that the
// rules speak of that came or went, and nothing that refers to the program. All
// policies of a host are in one program, so that a change of one of them would
// otherwise be a change of everything.

// succeed finds, in points that are to be given out, programs made since the one
// numbered before that take the place of programs which nothing holds any more.
func (e *Engine) succeed(points []*hostPoint, before uint32) {
	heirs := map[uint32]uint32{} // from the new program to the old one that becomes it
	taken := map[uint32]bool{}
	match := func(was, is dataplane.ProgramID) {
		o, n := uint32(was), uint32(is)
		if o == 0 || n <= before || heirs[n] != 0 || taken[o] {
			return
		}
		if p := e.programs.byID[o]; p.refs == 0 && !p.isNew {
			heirs[n], taken[o] = o, true
		}
	}
	for _, p := range points {
		was, ok := e.hosts.points[p.PointKey]
		if !ok {
			continue
		}
		match(was.Base, p.Base)
		for _, x := range p.Programs {
			match(was.ProgramFor(x.Class), x.Program)
		}
	}
	if len(heirs) == 0 {
		return
	}
	for _, n := range sortedKeys(heirs) {
		e.become(e.programs.byID[heirs[n]], e.programs.byID[n])
	}
	for _, p := range points {
		if o := heirs[uint32(p.Base)]; o != 0 {
			p.Base = dataplane.ProgramID(o)
		}
		for i := range p.Programs {
			if o := heirs[uint32(p.Programs[i].Program)]; o != 0 {
				p.Programs[i].Program = dataplane.ProgramID(o)
			}
		}
		for i, id := range p.programs {
			if o := heirs[id]; o != 0 {
				p.programs[i] = o
			}
		}
	}
}

// become returns a program the rules of another one, which was made in this flush and
// ceases to be, and marks the cells that may be others then.
func (e *Engine) become(p, next *program) {
	id := uint32(p.id)
	delete(e.programs.byID, uint32(next.id))
	delete(e.dirty.programs, uint32(next.id))
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
	facts := map[uint32]struct{}{}
	named := false
	for _, r := range slices.Concat(was[first:oldEnd], p.rules[first:newEnd]) {
		widely = widely || r.peer == 0
		named = named || len(r.names(false)) > 0
		facts[r.peer] = struct{}{}
	}
	delete(facts, 0)
	p.moveRules(facts, first, oldEnd, newEnd)
	for _, f := range sortedKeys(facts) {
		e.markCellsOf(p, f)
		i, had := slices.BinarySearch(p.facts, f)
		switch has := len(p.byFact[f]) > 0; {
		case has && !had:
			p.facts = slices.Insert(p.facts, i, f)
			e.facts.at(f).programs.Add(id)
		case had && !has:
			p.facts = slices.Delete(p.facts, i, i+1)
			e.facts.at(f).programs.Remove(id)
			delete(p.byFact, f)
		}
	}
	if named {
		e.rename(p)
	}
	if widely {
		p.rebase = true
		for class := range p.cells {
			e.dirty.cells[cellKey{id, class}] = struct{}{}
		}
		e.markCells(p)
	}
}

// moveRules brings where rules stand in line with rules of which those from first to
// newEnd stand where those from first to oldEnd stood. facts are what both demand.
func (p *program) moveRules(facts map[uint32]struct{}, first, oldEnd, newEnd int) {
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
	for f, list := range p.byFact {
		if _, touched := facts[f]; touched || newEnd != oldEnd {
			p.byFact[f] = shift(list)
		}
	}
	for at := first; at < newEnd; at++ {
		if f := p.rules[at].peer; f != 0 {
			p.byFact[f] = insertSorted(p.byFact[f], at)
		} else {
			p.always = insertSorted(p.always, at)
		}
	}
}

func insertSorted(list []int, v int) []int {
	i, _ := slices.BinarySearch(list, v)
	return slices.Insert(list, i, v)
}

// rename looks again at which names of ports the rules look up at the peer.
func (e *Engine) rename(p *program) {
	was := p.names
	p.names = nil
	for _, r := range p.rules {
		p.names = append(p.names, r.names(false)...)
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	for _, n := range union(was, p.names) {
		for _, f := range e.facts.names.at(n).facts {
			e.markCellsOf(p, f)
		}
	}
	eachDifference(was, p.names, func(n uint32, added bool) {
		if added {
			e.facts.names.at(n).programs.Add(uint32(p.id))
		} else {
			e.facts.names.at(n).programs.Remove(uint32(p.id))
		}
	})
}
