package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// atom is a group of addresses that no rule can tell apart: held by endpoints
// of the same identities, in the same zone.
type atom struct {
	key     atomKey
	holders []uint32 // the identities, sorted; one for each endpoint that holds the address
	zone    uint32
	base    uint32 // the zone that the nets around the addresses give; 0 for a bare atom
	class   dataplane.ClassID
	out     dataplane.ClassID // what the last flush gave out for its addresses; 0 for nothing
	head    uint32            // the first of its records
	weight  int               // records or, for a bare atom, nets
}

// atomKey names an atom. who is 0 for no holder, the identity for one holder,
// or that of an interned list of holders.
type atomKey struct {
	who, zone, base uint32
}

// several marks a who that stands for a list of holders.
const several = 1 << 31

type atomTable struct {
	pool  pool[atom]
	byKey map[atomKey]uint32
	all   *roaring.Bitmap
	// Lists of more than one holder. They are rare: an address is handed from one
	// endpoint to the next.
	lists map[string]*holderList
	last  uint32 // the last id that a list was given
}

type holderList struct {
	id   uint32
	refs int // atoms
}

func newAtomTable() atomTable {
	return atomTable{byKey: map[atomKey]uint32{}, all: roaring.New(), lists: map[string]*holderList{}}
}

func (t *atomTable) at(id uint32) *atom { return t.pool.at(id) }

// who gives the first part of an atom's key.
func (t *atomTable) who(holders []uint32) uint32 {
	switch len(holders) {
	case 0:
		return 0
	case 1:
		return holders[0]
	}
	key := listKey(holders)
	l := t.lists[key]
	if l == nil {
		t.last = (t.last + 1) &^ several
		l = &holderList{id: t.last}
		t.lists[key] = l
	}
	return several | l.id
}

func listKey(holders []uint32) string {
	var key []byte
	for _, h := range holders {
		key = binary.LittleEndian.AppendUint32(key, h)
	}
	return string(key)
}

// countList counts an atom that came (1) or went (-1) with a list of holders.
func (t *atomTable) countList(holders []uint32, d int) {
	if len(holders) < 2 {
		return
	}
	key := listKey(holders)
	if l := t.lists[key]; l != nil {
		if l.refs += d; l.refs == 0 {
			delete(t.lists, key)
		}
	}
}

// atomOf gives the atom of holders at a place. An atom without records is
// dropped when the last one leaves it.
func (e *Engine) atomOf(holders []uint32, zone, base uint32) uint32 {
	key := atomKey{e.atoms.who(holders), zone, base}
	if id, ok := e.atoms.byKey[key]; ok {
		return id
	}
	id := e.newAtom(&atom{key: key, holders: slices.Clone(holders), zone: zone, base: base})
	e.atoms.byKey[key] = id
	e.atoms.countList(holders, 1)
	for _, h := range slices.Compact(slices.Clone(holders)) {
		in := e.identities.at(h)
		in.atoms = append(in.atoms, id)
	}
	e.holdZone(base)
	e.zones.at(base).based.Add(id)
	return id
}

func (e *Engine) newBareAtom(zone uint32) uint32 { return e.newAtom(&atom{zone: zone}) }

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
	for _, h := range slices.Compact(slices.Clone(a.holders)) {
		in := e.identities.at(h)
		in.atoms = without(in.atoms, id)
	}
	if a.base != 0 {
		delete(e.atoms.byKey, a.key)
		e.atoms.countList(a.holders, -1)
		e.zones.at(a.base).based.Remove(id)
		e.releaseZone(a.base)
	}
	e.zones.at(a.zone).atoms.Remove(id)
	e.releaseZone(a.zone)
	e.leaveClass(id, a)
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

// addrKey is an address in as few bytes as its family takes.
type addrKey interface{ [4]byte | [16]byte }

func addrOf[K addrKey](k K) netip.Addr {
	switch k := any(k).(type) {
	case [4]byte:
		return netip.AddrFrom4(k)
	case [16]byte:
		return netip.AddrFrom16(k)
	}
	return netip.Addr{}
}

// record is an address that endpoints hold or a source lists by itself.
type record[K addrKey] struct {
	addr       K
	atom       uint32 // 0: gone at the next flush
	next, prev uint32 // the other records of the atom
	changed    bool   // noted in the table's changes
	local      bool   // held by a local endpoint
}

type recordTable[K addrKey] struct {
	byAddr  map[K]uint32
	recs    []record[K] // the first stays unused
	free    []uint32
	changes []recordChange
}

// recordChange notes what the last flush gave out for a record that has changed since.
type recordChange struct {
	record uint32
	was    dataplane.ClassID
}

func newRecordTable[K addrKey]() recordTable[K] {
	return recordTable[K]{byAddr: map[K]uint32{}, recs: make([]record[K], 1)}
}

// of gives the record of an address, a new one if there is none.
func (t *recordTable[K]) of(k K) uint32 {
	if r, ok := t.byAddr[k]; ok {
		return r
	}
	var r uint32
	if n := len(t.free); n > 0 {
		r, t.free = t.free[n-1], t.free[:n-1]
	} else {
		r = uint32(len(t.recs))
		t.recs = append(t.recs, record[K]{})
	}
	t.recs[r] = record[K]{addr: k}
	t.byAddr[k] = r
	return r
}

// setHolders brings a record into the atom of the holders at its address's place.
func setHolders[K addrKey](e *Engine, t *recordTable[K], r uint32, addr netip.Addr, holders []uint32) {
	var to uint32
	if len(holders) > 0 || len(e.sources.hosts[addr]) > 0 {
		zone, base := e.place(addr)
		to = e.atomOf(holders, zone, base)
	}
	rec := &t.recs[r]
	from := rec.atom
	if from == to && from != 0 {
		return
	}
	if !rec.changed {
		var was dataplane.ClassID
		if from != 0 {
			was = e.atoms.at(from).out
		}
		rec.changed = true
		t.changes = append(t.changes, recordChange{r, was})
	}
	if rec.local {
		e.dirty.addrs[addr] = struct{}{}
	}
	rec.atom = to
	if to != 0 {
		a := e.atoms.at(to)
		old := rec.next
		prev := rec.prev
		rec.next, rec.prev = a.head, 0
		if a.head != 0 {
			t.recs[a.head].prev = r
		}
		a.head = r
		e.addWeight(a, 1)
		t.unlink(e, from, old, prev)
	} else {
		t.unlink(e, from, rec.next, rec.prev)
		rec.next, rec.prev = 0, 0
	}
}

// unlink closes the gap that a record between next and prev leaves in its atom.
func (t *recordTable[K]) unlink(e *Engine, from, next, prev uint32) {
	if from == 0 {
		return
	}
	a := e.atoms.at(from)
	if prev != 0 {
		t.recs[prev].next = next
	} else {
		a.head = next
	}
	if next != 0 {
		t.recs[next].prev = prev
	}
	e.addWeight(a, -1)
	if a.weight == 0 {
		e.dropAtom(from)
	}
}
