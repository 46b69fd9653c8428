package engine

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// netSet is a network set.
type netSet struct {
	key       policy.Key
	labels    selector.Labels
	nets      prefixes
	selectors []uint32 // the selectors that match the labels
	list      uint32   // its nets, while a cached selector matches; 0 otherwise

	learned, private bool // see policy.Set
}

type setTable struct {
	pool  pool[netSet]
	byKey map[policy.Key]uint32
	index labelIndex
}

func newSetTable() setTable {
	return setTable{byKey: map[policy.Key]uint32{}, index: newLabelIndex()}
}

func (e *selection) setSet(key policy.Key, s *policy.Set) {
	t := &e.sets
	id, known := t.byKey[key]
	if s == nil {
		if known {
			e.dropSet(id)
		}
		return
	}
	if known {
		set := t.at(id)
		set.nets = newPrefixes(s.Nets)
		if slices.Equal(set.labels, s.Labels) && set.learned == s.DNSLearned && set.private == s.Internal {
			e.pending.sets[id] = struct{}{}
			return
		}
		e.unlabelSet(id, set)
		e.labelSet(id, set, s)
		return
	}
	set := &netSet{key: key, nets: newPrefixes(s.Nets)}
	id = t.pool.add(set)
	t.byKey[key] = id
	e.labelSet(id, set, s)
}

func (e *selection) labelSet(id uint32, set *netSet, s *policy.Set) {
	set.labels, set.learned, set.private = s.Labels, s.DNSLearned, s.Internal
	e.sets.index.add(id, set.labels)
	e.selectors.index.candidates(set.labels, func(sel uint32) {
		if cs := e.selectors.at(sel); cs.denotes(set) {
			cs.sets.Add(id)
			set.selectors = append(set.selectors, sel)
		}
	})
	e.markPrefixList(set.list)
	e.pending.sets[id] = struct{}{}
}

func (e *selection) unlabelSet(id uint32, set *netSet) {
	e.sets.index.remove(id, set.labels)
	for _, sel := range set.selectors {
		e.selectors.at(sel).sets.Remove(id)
	}
	set.selectors = nil
}

func (e *selection) dropSet(id uint32) {
	set := e.sets.at(id)
	e.unlabelSet(id, set)
	e.releasePrefixList(set.list)
	delete(e.sets.byKey, set.key)
	delete(e.pending.sets, id)
	e.sets.pool.drop(id)
}

// recomputeSets brings the nets of changed sets into the prefix-list sets: those of sets that
// a cached selector matches, and no others.
func (e *selection) recomputeSets() {
	for _, id := range sortedKeys(e.pending.sets) {
		set := e.sets.at(id)
		switch {
		case len(set.selectors) == 0 && set.list != 0:
			e.releasePrefixList(set.list)
			set.list = 0
		case len(set.selectors) > 0 && set.list == 0:
			set.list = e.addPrefixList(&prefixList{set: id, nets: set.nets, refs: 1})
		case set.list != 0:
			e.changePrefixList(set.list, set.nets)
		}
	}
	clear(e.pending.sets)
}
