package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// ruleRefEntry is a rule reference that rows in use name.
type ruleRefEntry struct {
	ref   dataplane.Decider
	refs  int  // rows
	isNew bool // not emitted yet
}

type ruleRefTable struct {
	byID  map[dataplane.DeciderID]*ruleRefEntry
	byKey map[dataplane.Decider]dataplane.DeciderID // by all but the ID
	last  dataplane.DeciderID
}

// ruleRef returns the id of what decides after the rules that log; rows count its uses.
func (e *compiler) ruleRef(p *program, by policy.Decider, logs dataplane.Logs) dataplane.DeciderID {
	t := &e.ruleRefs
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
	t.byID[t.last] = &ruleRefEntry{ref: d, isNew: true}
	e.pending.ruleRefs[t.last] = struct{}{}
	return t.last
}

// ruleRefs lists those that the row names, each once.
func ruleRefs(row dataplane.Row) []dataplane.DeciderID {
	ids := make([]dataplane.DeciderID, 0, len(row))
	for _, r := range row {
		if r.Decider != 0 {
			ids = append(ids, r.Decider)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func newRuleRefTable() ruleRefTable {
	return ruleRefTable{byID: map[dataplane.DeciderID]*ruleRefEntry{}, byKey: map[dataplane.Decider]dataplane.DeciderID{}}
}
