package nft

import (
	"maps"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// afterHosts brings the chains of host endpoints in line, if the delta touches
// anything that they are made from. Addresses that come, go or change their class
// are not among it.
func (t *step) afterHosts(d *dataplane.Delta) {
	was := t.b.host.content
	if len(was.hooks) == 0 && !t.b.state.HasPoints() {
		return
	}
	from, moved := t.b.ground(), false
	to := *from
	for family := range to.slots {
		if t.slots[family] != nil {
			to.slots[family], moved = t.slots[family], true
		}
		if t.intervals[family] != nil {
			to.intervals[family], moved = t.intervals[family], true
		}
	}
	points := len(d.SetHosts)+len(d.DelHosts) > 0
	if !moved && !points && len(d.SetPrograms)+len(d.SetCells) == 0 {
		return
	}
	next := *was
	if points || moved && was.tells {
		next = *renderHost(t.b.state, &t.b.host.settings, &to)
		if !was.step(&next, t.batch) {
			t.full = true
			return
		}
	}
	next.programs = maps.Clone(was.programs)
	if points {
		refers := programsOf(t.b.state.Points())
		for id, at := range refers {
			if was.programs[id] == nil {
				next.programs[id] = newHostProgram(t.b.state, id, at, &to)
				next.programs[id].emit(&to, t.batch)
			}
		}
		for id, p := range was.programs {
			if _, stays := refers[id]; !stays {
				p.remove(from, t.batch)
				delete(next.programs, id)
			}
		}
	}
	t.stepPrograms(d, was, &next, from, &to)
	t.host = &next
}

// stepPrograms writes what changes at the programs that were there and still are.
func (t *step) stepPrograms(d *dataplane.Delta, was, next *hostContent, from, to *ground) {
	stays := func(id dataplane.ProgramID) *hostProgram {
		if next.programs[id] == nil {
			return nil
		}
		return was.programs[id]
	}
	cells := map[dataplane.ProgramID]map[dataplane.ClassID]dataplane.RowID{}
	for _, c := range d.SetCells {
		if stays(c.Program) == nil {
			continue
		}
		if cells[c.Program] == nil {
			cells[c.Program] = map[dataplane.ClassID]dataplane.RowID{}
		}
		cells[c.Program][c.Class] = c.Row
	}
	bases := map[dataplane.ProgramID]dataplane.RowID{}
	for _, p := range d.SetPrograms {
		bases[p.ID] = p.Base
	}
	var slots [2]map[dataplane.ClassID]bool
	for family := range slots {
		if t.slots[family] == nil {
			continue
		}
		slots[family] = map[dataplane.ClassID]bool{}
		for class := range t.classes {
			old, had := from.slots[family].of[class]
			if slot, has := t.slots[family].of[class]; had != has || old != slot {
				slots[family][class] = true
			}
		}
	}
	for id := range next.programs {
		old := stays(id)
		if old == nil {
			continue
		}
		base, rebased := bases[id]
		f := old.family
		if !rebased && len(cells[id]) == 0 && t.slots[f] == nil && len(t.spans[f]) == 0 {
			continue
		}
		p := *old
		if rebased {
			p.base = base
		}
		if len(cells[id]) > 0 {
			p.cells = maps.Clone(old.cells)
		}
		p.step(old, from, to, programStep{cells[id], slots[f], t.spans[f]}, t.batch)
		next.programs[id] = &p
	}
}
