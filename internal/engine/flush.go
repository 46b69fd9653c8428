package engine

import "github.com/tierwall/tierwall/internal/dataplane"

// What a flush relies on, and what each of its steps leaves behind:
//
//   - Apply keeps the lower tables true at all times: which identities a selector
//     matches, which endpoint owns an address. What follows from that is only noted in
//     pending, once, however often it changes before the flush.
//   - Steps go from the input to the output, and none notes anything for a step before
//     it. So one pass is enough, and when it ends, pending is empty.
//   - Policies come into force before others are let go, so that the rules, predicates
//     and prefix lists that both have are not dropped and made anew.
//   - What goes is dropped last, and numbers are free only when nothing names them any
//     more: until then a number means what it meant at the last flush.
//   - The delta holds what differs from the last flush, and nothing that came and went
//     in between: whoever emits compares with what was emitted (out, isNew).
//   - Maps are walked in sorted order wherever numbers are given out or lists emitted:
//     the same changes make the same tables.

// Flush returns the step from the tables of the last Flush to those of now; nil if
// nothing changed.
func (e *Engine) Flush() *dataplane.Delta {
	e.out = &dataplane.Delta{}
	e.recomputePolicies()
	e.releasePolicies()
	e.recomputeSets()
	e.recomputePrefixListSets()
	e.gcCellsWithoutEndpoint()
	e.recomputeClasses()
	e.findWorld()
	e.markLocalSides()
	e.recomputePrograms()
	e.recomputeHosts()
	e.fileNewPrograms()
	e.recomputeCells()
	e.emitNets()
	e.emitAddrs()
	e.emitPrograms()
	e.emitRows()
	e.emitClasses()
	e.gcIDs()
	out := e.out
	e.out = nil
	if isEmpty(out) {
		return nil
	}
	return out
}

// markLocalSides has programs looked at again whose endpoints' own addresses other
// predicates are true of: the own side decides which rules can match there.
func (e *Engine) markLocalSides() {
	for _, id := range e.pending.resigned {
		who := e.equivalenceCells.at(id).who
		if who == 0 || e.identities.at(who).local == nil {
			continue
		}
		for _, l := range e.identities.at(who).local.endpoints {
			for _, a := range l.allAddrs { // a host endpoint may have the address of a workload
				e.pending.addrs[a] = struct{}{}
			}
		}
	}
	e.pending.resigned = e.pending.resigned[:0]
}
