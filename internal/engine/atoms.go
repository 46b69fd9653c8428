package engine

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// atom is a group of addresses that no rule can tell apart: held by endpoints
// of one identity, or by none, in the same zone.
type atom struct {
	atomKey
	class  dataplane.ClassID
	out    dataplane.ClassID // what the last flush gave out for its addresses; 0 for nothing
	head   uint32            // the first of its records
	weight int               // records or, for a bare atom, nets
}

// atomKey names an atom. who is the identity of the holder, 0 for none; base is
// the zone that the nets around the addresses give, 0 for a bare atom.
type atomKey struct {
	who, zone, base uint32
}

type atomTable struct {
	pool  pool[atom]
	byKey compact.Index
	all   *roaring.Bitmap

	recent uint32 // the atom that was asked for last: endpoints of one identity often come together
}

func newAtomTable() *atomTable {
	t := &atomTable{all: roaring.New()}
	t.byKey = compact.NewIndex(func(id uint32) uint64 { return t.at(id).hash() })
	return t
}

func (k atomKey) hash() uint64 {
	return mix(mix(uint64(k.who), uint64(k.zone)<<32|uint64(k.base)), 4)
}

func (t *atomTable) at(id uint32) *atom { return t.pool.at(id) }

// atomOf returns the atom of a holder's identity at a place. An atom without
// records is dropped when the last one leaves it.
func (e *Engine) atomOf(who, zone, base uint32) uint32 {
	key := atomKey{who, zone, base}
	if r := e.atoms.recent; r != 0 && e.atoms.at(r).atomKey == key {
		return r
	}
	h := key.hash()
	if id := e.atoms.byKey.Find(h, func(id uint32) bool { return e.atoms.at(id).atomKey == key }); id != 0 {
		e.atoms.recent = id
		return id
	}
	id := e.newAtom(&atom{atomKey: key})
	e.atoms.byKey.Add(h, id)
	e.atoms.recent = id
	if who != 0 {
		in := e.identities.at(who)
		in.atoms = append(in.atoms, id)
	}
	e.holdZone(base)
	e.zones.at(base).based.Add(id)
	return id
}

func (e *Engine) newBareAtom(zone uint32) uint32 {
	return e.newAtom(&atom{atomKey: atomKey{zone: zone}})
}

func (e *Engine) newAtom(a *atom) uint32 {
	id := e.atoms.pool.add(a)
	e.atoms.all.Add(id)
	e.holdZone(a.zone)
	e.zones.at(a.zone).atoms.Add(id)
	e.dirty.atoms.Add(id)
	return id
}

func (e *Engine) dropAtom(id uint32) {
	a := e.atoms.at(id)
	if a.who != 0 {
		in := e.identities.at(a.who)
		in.atoms = without(in.atoms, id)
	}
	if a.base != 0 {
		e.atoms.byKey.Remove(a.hash(), id)
		e.zones.at(a.base).based.Remove(id)
		e.releaseZone(a.base)
	}
	e.zones.at(a.zone).atoms.Remove(id)
	e.releaseZone(a.zone)
	e.leaveClass(id, a)
	if e.atoms.recent == id {
		e.atoms.recent = 0
	}
	e.atoms.all.Remove(id)
	e.dirty.atoms.Remove(id)
	e.atoms.pool.drop(id)
}

// sweepBareAtoms drops the bare atoms of zones that have no nets any more.
func (e *Engine) sweepBareAtoms() {
	for _, id := range sortedKeys(e.dirty.bare) {
		if z := e.zones.at(id); len(z.nets) == 0 && z.bare != 0 {
			e.dropAtom(z.bare)
			z.bare = 0
		}
	}
	clear(e.dirty.bare)
}
