package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// term is the denotation of a selector that a rule in force uses: the
// identities and the network sets that it matches.
type term struct {
	key        termKey
	entities   *policy.PeerSet
	selector   *selector.Selector // that of the entities
	refs       int                // facts that use it
	filed      filing
	identities *roaring.Bitmap
	sets       *roaring.Bitmap // none if it denotes endpoints only

	demanding []uint32 // facts that demand it
}

// termKey tells terms apart: by the text of the selector, and by all fields of the
// peer set but the two that are in it otherwise or say nothing.
type termKey struct {
	selector string
	set      policy.PeerSet // without Selector and AsWritten
}

func keyOfSet(set *policy.PeerSet) termKey {
	key := termKey{selector: set.Selector.String(), set: *set}
	key.set.Selector, key.set.AsWritten = nil, ""
	return key
}

// denotes reports whether the nets of a set belong to the term.
func (tm *term) denotes(set *netSet) bool {
	return tm.entities.Counts(&policy.Set{DNSLearned: set.learned, Internal: set.private}) && tm.selector.Match(set.labels)
}

type termTable struct {
	pool  pool[term]
	byKey map[termKey]uint32
	index selectorIndex
}

func newTermTable() termTable {
	return termTable{byKey: map[termKey]uint32{}, index: newSelectorIndex()}
}

func (t *termTable) at(id uint32) *term { return t.pool.at(id) }

// holdTerm returns the term of the entities; 0 for nil.
func (e *Engine) holdTerm(ent *policy.PeerSet) uint32 {
	if ent == nil {
		return 0
	}
	t := &e.terms
	key := keyOfSet(ent)
	if id, ok := t.byKey[key]; ok {
		t.at(id).refs++
		return id
	}
	tm := &term{key: key, entities: ent, selector: ent.Selector, refs: 1, identities: roaring.New(), sets: roaring.New()}
	id := t.pool.add(tm)
	t.byKey[key] = id
	reqs := tm.selector.Requirements()
	tm.filed = t.index.add(id, reqs)

	e.identities.index.candidates(reqs, func(i uint32) {
		if in := e.identities.at(i); tm.selector.Match(e.identities.labelsOf(in)) {
			tm.identities.Add(i)
			in.terms = append(in.terms, id)
		}
	})
	if !ent.EndpointsOnly {
		e.sets.index.candidates(reqs, func(s uint32) {
			if set := e.sets.at(s); tm.denotes(set) {
				tm.sets.Add(s)
				set.terms = append(set.terms, id)
				e.dirty.sets[s] = struct{}{}
			}
		})
	}
	return id
}

func (e *Engine) releaseTerm(id uint32) {
	if id == 0 {
		return
	}
	t := &e.terms
	tm := t.at(id)
	if tm.refs--; tm.refs > 0 {
		return
	}
	e.identities.each(tm.identities, func(in *identity) { in.terms = without(in.terms, id) })
	e.sets.pool.each(tm.sets, func(s uint32, set *netSet) {
		set.terms = without(set.terms, id)
		e.dirty.sets[s] = struct{}{}
	})
	t.index.remove(id, tm.filed)
	delete(t.byKey, tm.key)
	t.pool.drop(id)
}

// touchTerm marks the atoms that the term denotes: facts about it came or went.
func (e *Engine) touchTerm(id uint32) {
	tm := e.terms.at(id)
	e.identities.each(tm.identities, func(in *identity) { e.dirty.atoms.AddMany(in.atoms) })
	e.sets.pool.each(tm.sets, func(_ uint32, set *netSet) { e.touchSource(set.source) })
}

// netSet is a network set.
type netSet struct {
	key    policy.Key
	labels selector.Labels
	nets   prefixes
	terms  []uint32 // the terms that match the labels
	source uint32   // its nets, while a term matches; 0 otherwise

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

func (t *setTable) at(id uint32) *netSet { return t.pool.at(id) }

func (e *Engine) setSet(key policy.Key, s *policy.Set) {
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
			e.dirty.sets[id] = struct{}{}
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

func (e *Engine) labelSet(id uint32, set *netSet, s *policy.Set) {
	set.labels, set.learned, set.private = s.Labels, s.DNSLearned, s.Internal
	e.sets.index.add(id, set.labels)
	e.terms.index.candidates(set.labels, func(term uint32) {
		if tm := e.terms.at(term); tm.denotes(set) {
			tm.sets.Add(id)
			set.terms = append(set.terms, term)
		}
	})
	e.touchSource(set.source)
	e.dirty.sets[id] = struct{}{}
}

func (e *Engine) unlabelSet(id uint32, set *netSet) {
	e.sets.index.remove(id, set.labels)
	for _, term := range set.terms {
		e.terms.at(term).sets.Remove(id)
	}
	set.terms = nil
}

func (e *Engine) dropSet(id uint32) {
	set := e.sets.at(id)
	e.unlabelSet(id, set)
	e.releaseSource(set.source)
	delete(e.sets.byKey, set.key)
	delete(e.dirty.sets, id)
	e.sets.pool.drop(id)
}

// settleSets brings the nets of changed sets into the zones: those of sets that
// a term matches, and no others.
func (e *Engine) settleSets() {
	for _, id := range sortedKeys(e.dirty.sets) {
		set := e.sets.at(id)
		switch {
		case len(set.terms) == 0 && set.source != 0:
			e.releaseSource(set.source)
			set.source = 0
		case len(set.terms) > 0 && set.source == 0:
			set.source = e.newSource(&source{set: id, nets: set.nets, refs: 1})
		case set.source != 0:
			e.changeSource(set.source, set.nets)
		}
	}
	clear(e.dirty.sets)
}
