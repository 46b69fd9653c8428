package engine

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// cachedSelector is a selector that a rule in force uses, with what it denotes: the
// identities and the network sets that it matches.
type cachedSelector struct {
	key        selectorKey
	peerSet    *policy.PeerSet
	selector   *selector.Selector // that of the peer set
	refs       int                // predicates that use it
	filed      filing
	identities *roaring.Bitmap
	sets       *roaring.Bitmap // none if it denotes endpoints only

	demanding []uint32 // predicates that demand it
}

// selectorKey tells selectors apart: by the text of the selector, and by all fields of the
// peer set but the two that are in it otherwise or say nothing.
type selectorKey struct {
	selector string
	set      policy.PeerSet // without Selector and AsWritten
}

func keyOfSet(set *policy.PeerSet) selectorKey {
	key := selectorKey{selector: set.Selector.String(), set: *set}
	key.set.Selector, key.set.AsWritten = nil, nil
	return key
}

// denotes reports whether the nets of a set belong to the cached selector.
func (cs *cachedSelector) denotes(set *netSet) bool {
	return cs.peerSet.Counts(&policy.Set{DNSLearned: set.learned, Internal: set.private}) && cs.selector.Match(set.labels)
}

type selectorTable struct {
	pool  pool[cachedSelector]
	byKey map[selectorKey]uint32
	index selectorIndex
}

func newSelectorTable() selectorTable {
	return selectorTable{byKey: map[selectorKey]uint32{}, index: newSelectorIndex()}
}

func (t *selectorTable) at(id uint32) *cachedSelector { return t.pool.at(id) }

// retainSelector returns the cached selector of the peer set; 0 for nil.
func (e *selection) retainSelector(set *policy.PeerSet) uint32 {
	if set == nil {
		return 0
	}
	t := &e.selectors
	key := keyOfSet(set)
	if id, ok := t.byKey[key]; ok {
		t.at(id).refs++
		return id
	}
	cs := &cachedSelector{key: key, peerSet: set, selector: set.Selector, refs: 1, identities: roaring.New(), sets: roaring.New()}
	id := t.pool.add(cs)
	t.byKey[key] = id
	reqs := cs.selector.Requirements()
	cs.filed = t.index.add(id, reqs)

	e.identities.index.candidates(reqs, func(i uint32) {
		if in := e.identities.at(i); cs.selector.Match(e.identities.labelsOf(in)) {
			cs.identities.Add(i)
			in.selectors = append(in.selectors, id)
		}
	})
	if !set.EndpointsOnly {
		e.sets.index.candidates(reqs, func(s uint32) {
			if set := e.sets.at(s); cs.denotes(set) {
				cs.sets.Add(s)
				set.selectors = append(set.selectors, id)
				e.pending.sets[s] = struct{}{}
			}
		})
	}
	return id
}

func (e *selection) releaseSelector(id uint32) {
	if id == 0 {
		return
	}
	t := &e.selectors
	cs := t.at(id)
	if cs.refs--; cs.refs > 0 {
		return
	}
	e.identities.each(cs.identities, func(in *identity) { in.selectors = without(in.selectors, id) })
	e.sets.pool.each(cs.sets, func(s uint32, set *netSet) {
		set.selectors = without(set.selectors, id)
		e.pending.sets[s] = struct{}{}
	})
	t.index.remove(id, cs.filed)
	delete(t.byKey, cs.key)
	t.pool.drop(id)
}

// markSelector marks the equivalence cells that the cached selector denotes: predicates about it came or went.
func (e *selection) markSelector(id uint32) {
	cs := e.selectors.at(id)
	e.identities.each(cs.identities, func(in *identity) { e.pending.equivalenceCells.AddMany(in.equivalenceCells) })
	e.sets.pool.each(cs.sets, func(_ uint32, set *netSet) { e.markPrefixList(set.list) })
}

func (t *setTable) at(id uint32) *netSet { return t.pool.at(id) }
