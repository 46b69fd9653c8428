package engine

import (
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// atom is a group of addresses that no rule can tell apart: held by endpoints
// of the same identities, in the same zone.
type atom struct {
	atomKey
	class  dataplane.ClassID
	out    dataplane.ClassID // what the last flush gave out for its addresses; 0 for nothing
	head   uint32            // the first of its records
	weight int               // records or, for a bare atom, nets
}

// atomKey names an atom. who is 0 for no holder, the identity of the only
// holder, or the id of a list of holders; base is the zone that the nets around
// the addresses give, 0 for a bare atom.
type atomKey struct {
	who, zone, base uint32
}

// several marks a who that stands for a list of holders.
const several = 1 << 31

type atomTable struct {
	pool  pool[atom]
	byKey hashIndex
	all   *roaring.Bitmap

	recent uint32 // the atom that was asked for last: endpoints of one identity often come together
	// Lists of more than one holder. They are rare: an address is handed from one
	// endpoint to the next.
	lists   pool[holderList]
	listIDs map[string]uint32
}

// holderList is the identities of the endpoints that hold an address, sorted;
// one for each endpoint.
type holderList struct {
	key     string
	holders []uint32
	refs    int // atoms
}

func newAtomTable() *atomTable {
	t := &atomTable{all: roaring.New(), listIDs: map[string]uint32{}}
	t.byKey = newHashIndex(func(id uint32) uint64 { return t.at(id).hash() })
	return t
}

func (k atomKey) hash() uint64 {
	return mix(mix(uint64(k.who), uint64(k.zone)<<32|uint64(k.base)), 4)
}

func (t *atomTable) at(id uint32) *atom { return t.pool.at(id) }

// holders appends those of the atom to the list.
func (t *atomTable) holders(a *atom, to []uint32) []uint32 {
	switch {
	case a.who == 0:
		return to
	case a.who&several == 0:
		return append(to, a.who)
	}
	return append(to, t.lists.at(a.who&^several).holders...)
}

// who gives the first part of an atom's key. A list that is new has no
// references before countList.
func (t *atomTable) who(holders []uint32) uint32 {
	switch len(holders) {
	case 0:
		return 0
	case 1:
		return holders[0]
	}
	var key []byte
	for _, h := range holders {
		key = binary.LittleEndian.AppendUint32(key, h)
	}
	id, ok := t.listIDs[string(key)]
	if !ok {
		id = t.lists.add(&holderList{key: string(key), holders: slices.Clone(holders)})
		t.listIDs[string(key)] = id
	}
	return several | id
}

// countList counts an atom that came (1) or went (-1) with a list of holders.
func (t *atomTable) countList(who uint32, d int) {
	if who&several == 0 {
		return
	}
	l := t.lists.at(who &^ several)
	if l.refs += d; l.refs == 0 {
		delete(t.listIDs, l.key)
		t.lists.drop(who &^ several)
	}
}

// atomOf gives the atom of holders at a place. An atom without records is
// dropped when the last one leaves it.
func (e *Engine) atomOf(holders []uint32, zone, base uint32) uint32 {
	key := atomKey{e.atoms.who(holders), zone, base}
	if r := e.atoms.recent; r != 0 && e.atoms.at(r).atomKey == key {
		return r
	}
	h := key.hash()
	if id := e.atoms.byKey.find(h, func(id uint32) bool { return e.atoms.at(id).atomKey == key }); id != 0 {
		e.atoms.recent = id
		return id
	}
	id := e.newAtom(&atom{atomKey: key})
	e.atoms.byKey.add(h, id)
	e.atoms.recent = id
	e.atoms.countList(key.who, 1)
	for i, h := range holders {
		if i == 0 || h != holders[i-1] {
			in := e.identities.at(h)
			in.atoms = append(in.atoms, id)
		}
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
	for _, h := range e.atoms.holders(a, nil) {
		in := e.identities.at(h)
		in.atoms = without(in.atoms, id)
	}
	if a.base != 0 {
		e.atoms.byKey.remove(a.hash(), id)
		e.atoms.countList(a.who, -1)
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
