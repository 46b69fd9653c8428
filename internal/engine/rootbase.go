package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// The base of a program is its row for the world: the addresses that no endpoint has and no net
// is around but 0.0.0.0/0 or ::/0. What a rule says of "everybody but" is true of the world and of
// nearly everybody else, so that few classes have another row than this one, and the difference is small.
//
// So what a class is told apart by is the difference of its predicates from the world's:
//
//   - A program has a cell for a class only if a predicate that it asks for is true of one of them
//     and not of the other.
//   - Where the world's predicates change, the programs that ask for what changed get another base,
//     and all their cells are computed again.

// worldOf returns the predicates of the world of a family, sorted.
func (e *ruleset) worldOf(family policy.Family) []uint32 { return e.world[family.Index()] }

// findWorld brings the predicates of the world up to date, and marks what follows from them.
func (e *compiler) findWorld() {
	for i, id := range e.rootPrefixListSet {
		cell := e.prefixListSets.at(id).withoutEndpoint
		now := e.classes.byID[e.equivalenceCells.at(cell).class].predicates
		was := e.world[i]
		e.world[i] = slices.Clone(now)
		eachDifference(was, now, func(pred uint32, _ bool) {
			e.programsOf(pred).Iterate(func(id uint32) bool {
				if p := e.programs.byID[id]; p.family.Index() == i && p.cells != nil {
					e.rebase(p)
				}
				return true
			})
		})
	}
	for _, id := range e.pending.newClasses {
		if c := e.classes.byID[id]; c != nil {
			e.markDifference(c)
		}
	}
}

// markDifference marks the cells of a class in the programs that tell it apart from the world.
func (e *ruleset) markDifference(c *class) {
	eachDifference(e.worldOf(c.family), c.predicates, func(pred uint32, _ bool) {
		e.programsOf(pred).Iterate(func(p uint32) bool {
			e.pending.cells[cellKey{p, c.id}] = struct{}{}
			return true
		})
	})
}

// rebase has the base and all cells of a program computed again.
func (e *compiler) rebase(p *program) {
	p.rebase = true
	e.pending.programs[uint32(p.id)] = struct{}{}
	for class := range p.cells {
		e.pending.cells[cellKey{uint32(p.id), class}] = struct{}{}
	}
	e.markCells(p)
}

// baseRow returns a program's row for the world.
func (e *compiler) baseRow(p *program) dataplane.Row {
	return e.makeRow(p, e.relevantOf(p, e.worldOf(p.family)))
}

// markCellsOf marks the cells of the classes of which a predicate is true and not of the world,
// or of the world and not of them.
func (e *compiler) markCellsOf(p *program, predicate uint32) {
	classes := e.predicates.at(predicate).classes
	if e.trueOfWorld(p.family, predicate) {
		classes = roaring.AndNot(e.classes.ofFamily[p.family.Index()], classes)
	}
	classes.Iterate(func(c uint32) bool {
		e.pending.cells[cellKey{uint32(p.id), dataplane.ClassID(c)}] = struct{}{}
		return true
	})
}

func (e *compiler) trueOfWorld(family policy.Family, predicate uint32) bool {
	_, in := slices.BinarySearch(e.worldOf(family), predicate)
	return in
}
