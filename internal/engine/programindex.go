package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// fileNewPrograms has predicates know the new programs that depend on them, and marks their cells.
func (e *compiler) fileNewPrograms() {
	for _, id := range sortedKeys(e.pending.programs) {
		if p := e.programs.byID[id]; p != nil && p.isNew && p.refs > 0 && p.cells == nil {
			e.fileProgram(id, p)
		}
	}
}

func (e *compiler) fileProgram(id uint32, p *program) {
	p.cells = map[dataplane.ClassID]dataplane.RowID{}
	p.byPredicate = map[uint32][]int{}
	for i, r := range p.rules {
		if r.peer != 0 {
			p.predicates = append(p.predicates, r.peer)
			p.byPredicate[r.peer] = append(p.byPredicate[r.peer], i)
		} else {
			p.always = append(p.always, i)
		}
		p.names = append(p.names, r.names(false)...)
	}
	slices.Sort(p.predicates)
	p.predicates = slices.Compact(p.predicates)
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	for _, pred := range p.predicates {
		e.predicates.at(pred).programs.Add(id)
	}
	for _, n := range p.names {
		e.predicates.names.at(n).programs.Add(id)
	}
	e.markCells(p)
}

// markCells marks all cells that a program may have.
func (e *compiler) markCells(p *program) {
	for _, pred := range p.predicates {
		e.markCellsOf(p, pred)
	}
	for _, n := range p.names {
		for _, pred := range e.predicates.names.at(n).predicates {
			e.markCellsOf(p, pred)
		}
	}
}
