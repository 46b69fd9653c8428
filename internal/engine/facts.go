package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
)

// fact is something that is true of an address or is not, and that a rule in
// force depends on. It is either a condition on the peer's address, where every
// id that is not 0 adds a demand, or a named port that the address has.
type fact struct {
	factKey
	refs     int             // rules, for conditions; 1 while the name is held, for ports
	classes  *roaring.Bitmap // of which it is true
	programs *roaring.Bitmap // that depend on it; for ports, see portName
}

type factKey struct {
	term, notTerm uint32 // denotations that the address is in, or not in
	nets, notNets uint32 // sources that hold the address, or not

	name     uint32 // a named port: the portName
	protocol policy.Protocol
	port     uint16
}

// portName is the name of a port that a rule in force uses.
type portName struct {
	name     string
	refs     int
	facts    []uint32 // one for each protocol and number that an endpoint gave the name
	programs *roaring.Bitmap
}

type factTable struct {
	pool    pool[fact]
	byKey   map[factKey]uint32
	free    []uint32 // facts that demand neither a term nor nets: any address may meet them
	names   pool[portName]
	nameIDs map[string]uint32
}

func newFactTable() factTable {
	return factTable{byKey: map[factKey]uint32{}, nameIDs: map[string]uint32{}}
}

func (t *factTable) at(id uint32) *fact { return t.pool.at(id) }

// holdFact returns the fact of what the peer demands of its address; 0 if it
// demands nothing.
func (e *Engine) holdFact(p *policy.Peer) uint32 {
	if !p.ConstrainsAddress() {
		return 0
	}
	t := &e.facts
	key := factKey{
		term:    e.holdTerm(p.Set),
		notTerm: e.holdTerm(p.NotSet),
		nets:    e.holdSource(p.Nets),
		notNets: e.holdSource(p.NotNets),
	}
	if id, ok := t.byKey[key]; ok {
		t.at(id).refs++
		e.releaseParts(key)
		return id
	}
	id := e.newFact(key)
	if key.term != 0 {
		tm := e.terms.at(key.term)
		tm.demanding = append(tm.demanding, id)
	} else if key.nets != 0 {
		src := e.sources.at(key.nets)
		src.demanding = append(src.demanding, id)
	} else {
		t.free = append(t.free, id)
	}
	e.touchFact(key)
	return id
}

func (e *Engine) newFact(key factKey) uint32 {
	id := e.facts.pool.add(&fact{factKey: key, refs: 1, classes: roaring.New(), programs: roaring.New()})
	e.facts.byKey[key] = id
	return id
}

// releaseFact forgets the fact once no rule depends on it. The classes that it
// splits are joined at the next flush.
func (e *Engine) releaseFact(id uint32) {
	if id == 0 {
		return
	}
	t := &e.facts
	f := t.at(id)
	if f.refs--; f.refs > 0 {
		return
	}
	key := f.factKey
	if key.term != 0 {
		tm := e.terms.at(key.term)
		tm.demanding = without(tm.demanding, id)
	} else if key.nets != 0 {
		src := e.sources.at(key.nets)
		src.demanding = without(src.demanding, id)
	} else {
		t.free = without(t.free, id)
	}
	e.touchFact(key)
	delete(t.byKey, key)
	// The id is not used again before the classes have forgotten it.
	e.dirty.facts = append(e.dirty.facts, id)
	e.releaseParts(key)
}

func (e *Engine) releaseParts(key factKey) {
	e.releaseTerm(key.term)
	e.releaseTerm(key.notTerm)
	e.releaseSource(key.nets)
	e.releaseSource(key.notNets)
}

// touchFact marks the atoms that a new or leaving condition may be true of.
func (e *Engine) touchFact(key factKey) {
	switch {
	case key.term != 0:
		e.touchTerm(key.term)
	case key.nets != 0:
		e.touchSource(key.nets)
	default:
		e.dirty.atoms.Or(e.atoms.all)
	}
}

// holdName returns the id of a port name that a rule uses.
func (e *Engine) holdName(name string) uint32 {
	t := &e.facts
	if id, ok := t.nameIDs[name]; ok {
		t.names.at(id).refs++
		return id
	}
	id := t.names.add(&portName{name: name, refs: 1, programs: roaring.New()})
	t.nameIDs[name] = id
	e.touchName(name)
	return id
}

func (e *Engine) releaseName(id uint32) {
	t := &e.facts
	n := t.names.at(id)
	if n.refs--; n.refs > 0 {
		return
	}
	e.touchName(n.name)
	for _, f := range n.facts {
		delete(t.byKey, t.at(f).factKey)
		e.dirty.facts = append(e.dirty.facts, f)
	}
	delete(t.nameIDs, n.name)
	e.dirty.names = append(e.dirty.names, id)
}

func (e *Engine) touchName(name string) {
	e.identities.ports.each(hashPortName(name), func(id uint32) {
		e.dirty.atoms.AddMany(e.identities.at(id).atoms)
	})
}

// portFact returns the fact that an address has the named port, or 0 if no rule uses the name.
func (e *Engine) portFact(p policy.NamedPort) uint32 {
	t := &e.facts
	name, ok := t.nameIDs[p.Name]
	if !ok {
		return 0
	}
	key := factKey{name: name, protocol: p.Protocol, port: p.Port}
	if id, ok := t.byKey[key]; ok {
		return id
	}
	id := e.newFact(key)
	n := t.names.at(name)
	n.facts = append(n.facts, id)
	return id
}

// programsOf returns the programs whose rows depend on the fact.
func (e *Engine) programsOf(id uint32) *roaring.Bitmap {
	f := e.facts.at(id)
	if f.name != 0 {
		return e.facts.names.at(f.name).programs
	}
	return f.programs
}

// signature returns the facts that are true of the atom, sorted.
func (e *Engine) signature(a *atom) []uint32 {
	z := e.zones.at(a.zone)
	s := &e.scratch
	s.terms, s.sig = s.terms[:0], s.sig[:0]
	holder := &identity{} // none has no terms and no ports
	if a.who != 0 {
		holder = e.identities.at(a.who)
	}
	s.terms = append(s.terms, holder.terms...)
	for _, src := range z.sources {
		if set := e.sources.at(src).set; set != 0 {
			s.terms = append(s.terms, e.sets.at(set).terms...)
		}
	}
	slices.Sort(s.terms)
	s.terms = slices.Compact(s.terms)

	for _, t := range s.terms {
		e.addTrue(z, e.terms.at(t).demanding)
	}
	for _, src := range z.sources {
		e.addTrue(z, e.sources.at(src).demanding)
	}
	e.addTrue(z, e.facts.free)
	for _, p := range holder.ports {
		if f := e.portFact(p); f != 0 {
			s.sig = append(s.sig, f)
		}
	}
	slices.Sort(s.sig)
	s.sig = slices.Compact(s.sig)
	return s.sig
}

// addTrue adds those of the facts to the signature whose other demands are met
// by the terms in the scratch space and the zone.
func (e *Engine) addTrue(z *zone, facts []uint32) {
	s := &e.scratch
	for _, id := range facts {
		f := e.facts.at(id)
		if f.notTerm != 0 {
			if _, in := slices.BinarySearch(s.terms, f.notTerm); in {
				continue
			}
		}
		if f.nets != 0 && !z.has(f.nets) || f.notNets != 0 && z.has(f.notNets) {
			continue
		}
		s.sig = append(s.sig, id)
	}
}
