package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine/l4"
	"github.com/tierwall/tierwall/policy"
)

// rowEntry is a row in use.
type rowEntry struct {
	row   dataplane.Row
	refs  int  // programs and cells
	isNew bool // not given out yet
}

type rowTable struct {
	byID      map[dataplane.RowID]*rowEntry
	byContent compact.Index
	last      dataplane.RowID
}

func newRowTable() rowTable {
	t := rowTable{byID: map[dataplane.RowID]*rowEntry{}}
	byID := t.byID
	t.byContent = compact.NewIndex(func(id uint32) uint64 { return hashRow(byID[dataplane.RowID(id)].row) })
	return t
}

// deciderEntry is a decider that rows in use name.
type deciderEntry struct {
	decider dataplane.Decider
	refs    int  // rows
	isNew   bool // not given out yet
}

type deciderTable struct {
	byID  map[dataplane.DeciderID]*deciderEntry
	byKey map[dataplane.Decider]dataplane.DeciderID // by all but the ID
	last  dataplane.DeciderID
}

// settleCells makes the bases of new programs, and the cells that changed.
func (e *Engine) settleCells() {
	cache := map[string]dataplane.RowID{}
	for _, id := range sortedKeys(e.dirty.programs) {
		p := e.programs.byID[id]
		if p == nil || p.refs == 0 || !p.rebase && (!p.isNew || p.base != 0) {
			continue
		}
		was := p.base
		p.base = e.holdRow(e.makeRow(p, nil))
		p.rebase = p.rebase && p.base != was // given out if it is another one
		e.releaseRow(was)
	}
	for _, key := range sortedFunc(e.dirty.cells, func(a, b cellKey) int {
		return cmp.Or(cmp.Compare(a.program, b.program), cmp.Compare(a.class, b.class))
	}) {
		if p := e.programs.byID[key.program]; p != nil && p.refs > 0 {
			e.settleCell(p, key.class, cache)
		}
	}
	clear(e.dirty.cells)
}

// settleCell computes one row. cache holds the rows made in this flush by
// program and the facts that matter to it.
func (e *Engine) settleCell(p *program, class dataplane.ClassID, cache map[string]dataplane.RowID) {
	var row dataplane.RowID
	if c := e.classes.byID[class]; c != nil && c.family == p.family {
		facts := e.relevant(p, c)
		key := binary.LittleEndian.AppendUint32(nil, uint32(p.id))
		for _, f := range facts {
			key = binary.LittleEndian.AppendUint32(key, f)
		}
		var ok bool
		if row, ok = cache[string(key)]; ok {
			e.rows.byID[row].refs++
		} else {
			row = e.holdRow(e.makeRow(p, facts))
			cache[string(key)] = row
			e.rows.byID[row].refs++ // the cache's own, so that the row outlives its cells
			e.dirty.cached = append(e.dirty.cached, row)
		}
		if row == p.base {
			e.releaseRow(row)
			row = 0
		}
	}
	old := p.cells[class]
	if old == row {
		if row != 0 {
			e.releaseRow(row)
		}
		return
	}
	if row == 0 {
		delete(p.cells, class)
	} else {
		p.cells[class] = row
	}
	if old != 0 {
		e.releaseRow(old)
	}
	e.dirty.setCells = append(e.dirty.setCells, dataplane.Cell{Program: p.id, Class: class, Row: row})
}

// relevant returns those of the class's facts that the program's rules ask for.
func (e *Engine) relevant(p *program, c *class) []uint32 {
	var facts []uint32
	for _, id := range c.facts {
		f := e.facts.at(id)
		if f.name != 0 {
			if _, asks := slices.BinarySearch(p.names, f.name); asks {
				facts = append(facts, id)
			}
		} else if _, asks := slices.BinarySearch(p.facts, id); asks {
			facts = append(facts, id)
		}
	}
	return facts
}

// makeRow evaluates a program for a peer of which the facts are true.
func (e *Engine) makeRow(p *program, facts []uint32) dataplane.Row {
	named := func(to []dataplane.Range, names []uint32, source bool, protocol policy.Protocol) []dataplane.Range {
		known := facts
		if source == (p.dir == policy.Egress) {
			known = p.own
		}
		for _, id := range known {
			if f := e.facts.at(id); f.name != 0 && f.protocol == protocol && slices.Contains(names, f.name) {
				to = append(to, dataplane.Range{First: f.port, Last: f.port})
			}
		}
		return to
	}
	return l4.Row(p.stepsFor(facts), named, func(by policy.Decider, logs dataplane.Logs) dataplane.DeciderID {
		return e.decider(p, by, logs)
	})
}

// stepsFor returns the rules that match a peer of which the facts are true, layer 4 aside.
func (p *program) stepsFor(facts []uint32) []l4.Step {
	at := slices.Clone(p.always)
	for _, f := range facts {
		at = append(at, p.byFact[f]...)
	}
	slices.Sort(at)
	steps := make([]l4.Step, len(at))
	for i, n := range at {
		steps[i] = l4.Step{Rule: &p.rules[n].Rule, Tier: p.rules[n].tier}
	}
	return steps
}

// holdRow returns the row of that content.
func (e *Engine) holdRow(row dataplane.Row) dataplane.RowID {
	t := &e.rows
	h := hashRow(row)
	if id := t.byContent.Find(h, func(id uint32) bool { return slices.Equal(t.byID[dataplane.RowID(id)].row, row) }); id != 0 {
		t.byID[dataplane.RowID(id)].refs++
		return dataplane.RowID(id)
	}
	t.last++
	t.byID[t.last] = &rowEntry{row: row, refs: 1, isNew: true}
	t.byContent.AddMissed(h, uint32(t.last))
	e.dirty.rows[t.last] = struct{}{}
	for _, d := range deciders(row) {
		e.deciders.byID[d].refs++
	}
	return t.last
}

// releaseRow counts one use less. Rows without use go at the end of the flush,
// so that one that comes back is the same row.
func (e *Engine) releaseRow(id dataplane.RowID) {
	if id == 0 {
		return
	}
	en := e.rows.byID[id]
	if en.refs--; en.refs == 0 {
		e.dirty.rows[id] = struct{}{}
	}
}

// sweepRows returns out the rows and deciders that came and those that went.
func (e *Engine) sweepRows() {
	for _, id := range e.dirty.cached {
		e.releaseRow(id)
	}
	e.dirty.cached = e.dirty.cached[:0]
	for _, id := range sortedKeys(e.dirty.rows) {
		en := e.rows.byID[id]
		if en.refs == 0 {
			if !en.isNew {
				e.out.DelRows = append(e.out.DelRows, id)
			}
			for _, d := range deciders(en.row) {
				e.deciders.byID[d].refs--
				e.dirty.deciders[d] = struct{}{}
			}
			e.rows.byContent.Remove(hashRow(en.row), uint32(id))
			delete(e.rows.byID, id)
			continue
		}
		if en.isNew {
			en.isNew = false
			if e.out.AddRows == nil {
				e.out.AddRows = map[dataplane.RowID]dataplane.Row{}
			}
			e.out.AddRows[id] = en.row
		}
	}
	clear(e.dirty.rows)
	for _, id := range sortedKeys(e.dirty.deciders) {
		en := e.deciders.byID[id]
		switch {
		case en.refs == 0:
			if !en.isNew {
				e.out.DelDeciders = append(e.out.DelDeciders, id)
			}
			key := en.decider
			key.ID = 0
			delete(e.deciders.byKey, key)
			delete(e.deciders.byID, id)
		case en.isNew:
			en.isNew = false
			e.out.AddDeciders = append(e.out.AddDeciders, en.decider)
		}
	}
	clear(e.dirty.deciders)
}

// decider returns the id of what decides after the rules that log; rows count its uses.
func (e *Engine) decider(p *program, by policy.Decider, logs dataplane.Logs) dataplane.DeciderID {
	t := &e.deciders
	skips := dataplane.SkipsAt(p.hook)
	if by == (policy.Decider{}) {
		skips = dataplane.SkipsNothing
	}
	d := dataplane.Decider{Direction: p.dir, By: by, Logs: logs, Skips: skips}
	if id, ok := t.byKey[d]; ok {
		return id
	}
	t.last++
	t.byKey[d] = t.last
	d.ID = t.last
	t.byID[t.last] = &deciderEntry{decider: d, isNew: true}
	e.dirty.deciders[t.last] = struct{}{}
	return t.last
}

// deciders lists those that the row names, each once.
func deciders(row dataplane.Row) []dataplane.DeciderID {
	ids := make([]dataplane.DeciderID, 0, len(row))
	for _, r := range row {
		if r.Decider != 0 {
			ids = append(ids, r.Decider)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
