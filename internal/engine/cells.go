package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine/l4"
	"github.com/tierwall/tierwall/policy"
)

// recomputeCells makes the bases of new programs, and the cells that changed.
func (e *compiler) recomputeCells() {
	cache := map[string]dataplane.RowID{}
	for _, id := range sortedKeys(e.pending.programs) {
		p := e.programs.byID[id]
		if p == nil || p.refs == 0 || !p.rebase && (!p.isNew || p.base != 0) {
			continue
		}
		was := p.base
		p.base = e.retainRow(e.baseRow(p))
		p.rebase = p.rebase && p.base != was // emitted if it is another one
		e.releaseRow(was)
	}
	for _, key := range sortedFunc(e.pending.cells, func(a, b cellKey) int {
		return cmp.Or(cmp.Compare(a.program, b.program), cmp.Compare(a.class, b.class))
	}) {
		if p := e.programs.byID[key.program]; p != nil && p.refs > 0 {
			e.recomputeCell(p, key.class, cache)
		}
	}
	clear(e.pending.cells)
}

// recomputeCell computes one row. cache holds the rows made in this flush by
// program and the predicates that matter to it.
func (e *compiler) recomputeCell(p *program, class dataplane.ClassID, cache map[string]dataplane.RowID) {
	var row dataplane.RowID
	if c := e.classes.byID[class]; c != nil && c.family == p.family {
		predicates := e.relevant(p, c)
		key := binary.LittleEndian.AppendUint32(nil, uint32(p.id))
		for _, pred := range predicates {
			key = binary.LittleEndian.AppendUint32(key, pred)
		}
		var ok bool
		if row, ok = cache[string(key)]; ok {
			e.rows.byID[row].refs++
		} else {
			row = e.retainRow(e.makeRow(p, predicates))
			cache[string(key)] = row
			e.rows.byID[row].refs++ // the cache's own, so that the row outlives its cells
			e.pending.cached = append(e.pending.cached, row)
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
	e.pending.setCells = append(e.pending.setCells, dataplane.Cell{Program: p.id, Class: class, Row: row})
}

// relevant returns those of the class's predicates that the program's rules ask for.
func (e *compiler) relevant(p *program, c *class) []uint32 { return e.relevantOf(p, c.predicates) }

// relevantOf returns those of the predicates that the program's rules ask for.
func (e *compiler) relevantOf(p *program, all []uint32) []uint32 {
	var predicates []uint32
	for _, id := range all {
		pred := e.predicates.at(id)
		if pred.name != 0 {
			if _, asks := slices.BinarySearch(p.names, pred.name); asks {
				predicates = append(predicates, id)
			}
		} else if _, asks := slices.BinarySearch(p.predicates, id); asks {
			predicates = append(predicates, id)
		}
	}
	return predicates
}

// makeRow evaluates a program for a peer of which the predicates are true.
func (e *compiler) makeRow(p *program, predicates []uint32) dataplane.Row {
	named := func(to []dataplane.Range, names []uint32, source bool, protocol policy.Protocol) []dataplane.Range {
		known := predicates
		if source == (p.dir == policy.Egress) {
			known = p.own
		}
		for _, id := range known {
			if pred := e.predicates.at(id); pred.name != 0 && pred.protocol == protocol && slices.Contains(names, pred.name) {
				to = append(to, dataplane.Range{First: pred.port, Last: pred.port})
			}
		}
		return to
	}
	return l4.Row(p.tierRulesFor(predicates), named, func(by policy.Decider, logs dataplane.Logs) dataplane.DeciderID {
		return e.ruleRef(p, by, logs)
	})
}

// tierRulesFor returns the rules that match a peer of which the predicates are true, layer 4 aside.
func (p *program) tierRulesFor(predicates []uint32) []l4.TierRule {
	at := slices.Clone(p.always)
	for _, pred := range predicates {
		at = append(at, p.byPredicate[pred]...)
	}
	slices.Sort(at)
	rules := make([]l4.TierRule, len(at))
	for i, n := range at {
		rules[i] = l4.TierRule{Rule: &p.rules[n].Rule, Tier: p.rules[n].tier}
	}
	return rules
}
