package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
)

// predicate is something that is true of an address or is not, and that a rule in
// force depends on. It is either a condition on the peer's address, where every
// id that is not 0 adds a demand, or a named port that the address has.
type predicate struct {
	predicateKey
	refs     int             // rules, for conditions; 1 while the name is in use, for ports
	classes  *roaring.Bitmap // of which it is true
	programs *roaring.Bitmap // that depend on it; for ports, see portName
}

type predicateKey struct {
	selector, notSelector uint32 // cached selectors that denote the address, or not
	nets, notNets         uint32 // prefix lists that hold the address, or not

	name     uint32 // a named port: the portName
	protocol policy.Protocol
	port     uint16
}

// portName is the name of a port that a rule in force uses.
type portName struct {
	name       string
	refs       int
	predicates []uint32 // one for each protocol and number that an endpoint gave the name
	programs   *roaring.Bitmap
}

type predicateTable struct {
	pool    pool[predicate]
	byKey   map[predicateKey]uint32
	free    []uint32 // predicates that demand neither a cached selector nor nets: any address may meet them
	names   pool[portName]
	nameIDs map[string]uint32
}

func newPredicateTable() predicateTable {
	return predicateTable{byKey: map[predicateKey]uint32{}, nameIDs: map[string]uint32{}}
}

func (t *predicateTable) at(id uint32) *predicate { return t.pool.at(id) }

// retainPredicate returns the predicate of what the peer demands of its address; 0 if it
// demands nothing.
func (e *ruleset) retainPredicate(p *policy.Peer) uint32 {
	if !p.ConstrainsAddress() {
		return 0
	}
	t := &e.predicates
	key := predicateKey{
		selector:    e.retainSelector(p.Set),
		notSelector: e.retainSelector(p.NotSet),
		nets:        e.retainPrefixList(p.Nets),
		notNets:     e.retainPrefixList(p.NotNets),
	}
	if id, ok := t.byKey[key]; ok {
		t.at(id).refs++
		e.releaseParts(key)
		return id
	}
	id := e.addPredicate(key)
	if key.selector != 0 {
		cs := e.selectors.at(key.selector)
		cs.demanding = append(cs.demanding, id)
	} else if key.nets != 0 {
		list := e.prefixLists.at(key.nets)
		list.demanding = append(list.demanding, id)
	} else {
		t.free = append(t.free, id)
	}
	e.markPredicate(key)
	return id
}

func (e *ruleset) addPredicate(key predicateKey) uint32 {
	id := e.predicates.pool.add(&predicate{predicateKey: key, refs: 1, classes: roaring.New(), programs: roaring.New()})
	e.predicates.byKey[key] = id
	return id
}

// releasePredicate forgets the predicate once no rule depends on it. The classes that it
// splits are joined at the next flush.
func (e *ruleset) releasePredicate(id uint32) {
	if id == 0 {
		return
	}
	t := &e.predicates
	pred := t.at(id)
	if pred.refs--; pred.refs > 0 {
		return
	}
	key := pred.predicateKey
	if key.selector != 0 {
		cs := e.selectors.at(key.selector)
		cs.demanding = without(cs.demanding, id)
	} else if key.nets != 0 {
		list := e.prefixLists.at(key.nets)
		list.demanding = without(list.demanding, id)
	} else {
		t.free = without(t.free, id)
	}
	e.markPredicate(key)
	delete(t.byKey, key)
	// The id is not used again before the classes have forgotten it.
	e.pending.predicates = append(e.pending.predicates, id)
	e.releaseParts(key)
}

func (e *ruleset) releaseParts(key predicateKey) {
	e.releaseSelector(key.selector)
	e.releaseSelector(key.notSelector)
	e.releasePrefixList(key.nets)
	e.releasePrefixList(key.notNets)
}

// markPredicate marks the equivalence cells that a new or leaving condition may be true of.
func (e *ruleset) markPredicate(key predicateKey) {
	switch {
	case key.selector != 0:
		e.markSelector(key.selector)
	case key.nets != 0:
		e.markPrefixList(key.nets)
	default:
		e.pending.equivalenceCells.Or(e.equivalenceCells.all)
	}
}

// retainName returns the id of a port name that a rule uses.
func (e *ruleset) retainName(name string) uint32 {
	t := &e.predicates
	if id, ok := t.nameIDs[name]; ok {
		t.names.at(id).refs++
		return id
	}
	id := t.names.add(&portName{name: name, refs: 1, programs: roaring.New()})
	t.nameIDs[name] = id
	e.markName(name)
	return id
}

func (e *ruleset) releaseName(id uint32) {
	t := &e.predicates
	n := t.names.at(id)
	if n.refs--; n.refs > 0 {
		return
	}
	e.markName(n.name)
	for _, pred := range n.predicates {
		delete(t.byKey, t.at(pred).predicateKey)
		e.pending.predicates = append(e.pending.predicates, pred)
	}
	delete(t.nameIDs, n.name)
	e.pending.names = append(e.pending.names, id)
}

func (e *ruleset) markName(name string) {
	e.identities.ports.each(hashPortName(name), func(id uint32) {
		e.pending.equivalenceCells.AddMany(e.identities.at(id).equivalenceCells)
	})
}

// portPredicate returns the predicate that an address has the named port, or 0 if no rule uses the name.
func (e *ruleset) portPredicate(p policy.NamedPort) uint32 {
	t := &e.predicates
	name, ok := t.nameIDs[p.Name]
	if !ok {
		return 0
	}
	key := predicateKey{name: name, protocol: p.Protocol, port: p.Port}
	if id, ok := t.byKey[key]; ok {
		return id
	}
	id := e.addPredicate(key)
	n := t.names.at(name)
	n.predicates = append(n.predicates, id)
	return id
}

// programsOf returns the programs whose rows depend on the predicate.
func (e *ruleset) programsOf(id uint32) *roaring.Bitmap {
	pred := e.predicates.at(id)
	if pred.name != 0 {
		return e.predicates.names.at(pred.name).programs
	}
	return pred.programs
}

// signature returns the predicates that are true of the equivalence cell, sorted.
func (e *ruleset) signature(a *equivalenceCell) []uint32 {
	ls := e.prefixListSets.at(a.prefixListSet)
	s := &e.scratch
	s.selectors, s.sig = s.selectors[:0], s.sig[:0]
	who := &identity{} // none has no selectors and no ports
	if a.who != 0 {
		who = e.identities.at(a.who)
	}
	s.selectors = append(s.selectors, who.selectors...)
	for _, list := range ls.lists {
		if set := e.prefixLists.at(list).set; set != 0 {
			s.selectors = append(s.selectors, e.sets.at(set).selectors...)
		}
	}
	slices.Sort(s.selectors)
	s.selectors = slices.Compact(s.selectors)

	for _, t := range s.selectors {
		e.addTrue(ls, e.selectors.at(t).demanding)
	}
	for _, list := range ls.lists {
		e.addTrue(ls, e.prefixLists.at(list).demanding)
	}
	e.addTrue(ls, e.predicates.free)
	for _, p := range who.ports {
		if pred := e.portPredicate(p); pred != 0 {
			s.sig = append(s.sig, pred)
		}
	}
	slices.Sort(s.sig)
	s.sig = slices.Compact(s.sig)
	return s.sig
}

// addTrue adds those of the predicates to the signature whose other demands are met
// by the selectors in the scratch space and the prefix-list set.
func (e *ruleset) addTrue(ls *prefixListSet, predicates []uint32) {
	s := &e.scratch
	for _, id := range predicates {
		pred := e.predicates.at(id)
		if pred.notSelector != 0 {
			if _, in := slices.BinarySearch(s.selectors, pred.notSelector); in {
				continue
			}
		}
		if pred.nets != 0 && !ls.has(pred.nets) || pred.notNets != 0 && ls.has(pred.notNets) {
			continue
		}
		s.sig = append(s.sig, id)
	}
}
