package engine

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// What holds at all times:
//
//   - An address that an endpoint owns, or that a prefix list lists by itself, has a
//     record, and the record is in the cell of its owner's identity, its prefix-list set
//     and its base. All other addresses are in the cell without endpoint of the set of
//     the longest net around them: the root nets hold all of a family.
//   - A cell lives while records are in it, or nets for one without endpoint: its weight
//     is their number. It retains its prefix-list set and its base.
//   - Nothing that a rule can ask tells two addresses of a cell apart.

// eqCell is a group of addresses that no rule can tell apart: owned by endpoints
// of one identity, or by none, in the same prefix-list set.
type eqCell struct {
	eqCellKey
	class  dataplane.ClassID
	out    dataplane.ClassID // what the last flush emitted for its addresses; 0 for nothing
	head   uint32            // the first of its records
	weight int               // records or, for a cell without endpoint, nets
}

// eqCellKey names an equivalence cell. who is the identity of the owner, 0 for none; base is
// the prefix-list set that the nets around the addresses give, 0 for a cell without endpoint.
type eqCellKey struct {
	who, listSet, base uint32
}

type eqCellTable struct {
	pool  pool[eqCell]
	byKey compact.Index
	all   *roaring.Bitmap

	recent uint32 // the equivalence cell that was asked for last: endpoints of one identity often come together
}

func newEqCellTable() *eqCellTable {
	t := &eqCellTable{all: roaring.New()}
	t.byKey = compact.NewIndex(func(id uint32) uint64 { return t.at(id).hash() })
	return t
}

func (k eqCellKey) hash() uint64 {
	return mix(mix(uint64(k.who), uint64(k.listSet)<<32|uint64(k.base)), 4)
}

func (t *eqCellTable) at(id uint32) *eqCell { return t.pool.at(id) }

// eqCellOf returns the equivalence cell of an owner's identity at a place. An equivalence cell without
// records is dropped when the last one leaves it.
func (e *addressing) eqCellOf(who, listSet, base uint32) uint32 {
	key := eqCellKey{who, listSet, base}
	if r := e.eqCells.recent; r != 0 && e.eqCells.at(r).eqCellKey == key {
		return r
	}
	h := key.hash()
	if id := e.eqCells.byKey.Find(h, func(id uint32) bool { return e.eqCells.at(id).eqCellKey == key }); id != 0 {
		e.eqCells.recent = id
		return id
	}
	id := e.addEqCell(&eqCell{eqCellKey: key})
	e.eqCells.byKey.Add(h, id)
	e.eqCells.recent = id
	if who != 0 {
		in := e.identities.at(who)
		in.eqCells = append(in.eqCells, id)
	}
	e.retainListSet(base)
	e.listSets.at(base).based.Add(id)
	return id
}

// addCellWithoutEndpoint adds the cell of the addresses of nets that no endpoint owns
// and no prefix list lists one by one.
func (e *addressing) addCellWithoutEndpoint(listSet uint32) uint32 {
	return e.addEqCell(&eqCell{eqCellKey: eqCellKey{listSet: listSet}})
}

// addEqCell adds a cell, which the next flush finds a class for.
func (e *addressing) addEqCell(a *eqCell) uint32 {
	id := e.eqCells.pool.add(a)
	e.eqCells.all.Add(id)
	e.retainListSet(a.listSet)
	e.listSets.at(a.listSet).eqCells.Add(id)
	e.pending.eqCells.Add(id)
	return id
}

func (e *addressing) dropEqCell(id uint32) {
	a := e.eqCells.at(id)
	if a.who != 0 {
		in := e.identities.at(a.who)
		in.eqCells = without(in.eqCells, id)
	}
	if a.base != 0 {
		e.eqCells.byKey.Remove(a.hash(), id)
		e.listSets.at(a.base).based.Remove(id)
		e.releaseListSet(a.base)
	}
	e.listSets.at(a.listSet).eqCells.Remove(id)
	e.releaseListSet(a.listSet)
	e.leaveClass(id, a)
	if e.eqCells.recent == id {
		e.eqCells.recent = 0
	}
	e.eqCells.all.Remove(id)
	e.pending.eqCells.Remove(id)
	e.eqCells.pool.drop(id)
}

// gcCellsWithoutEndpoint drops the cells without endpoint of prefix-list sets that have no nets any more.
func (e *addressing) gcCellsWithoutEndpoint() {
	for _, id := range sortedKeys(e.pending.emptied) {
		if ls := e.listSets.at(id); len(ls.nets) == 0 && ls.withoutEndpoint != 0 {
			e.dropEqCell(ls.withoutEndpoint)
			ls.withoutEndpoint = 0
		}
	}
	clear(e.pending.emptied)
}

// addWeight counts more or fewer addresses and nets of a cell, and of its class.
func (e *addressing) addWeight(a *eqCell, d int) {
	a.weight += d
	if a.class != 0 {
		e.classes.byID[a.class].weight += d
	}
}

// leaveClass takes an equivalence cell out of its class. A class without equivalence cells is dropped
// by recomputeClasses.
func (e *addressing) leaveClass(id uint32, a *eqCell) {
	if a.class == 0 {
		return
	}
	c := e.classes.byID[a.class]
	c.eqCells.Remove(id)
	c.weight -= a.weight
	if c.eqCells.IsEmpty() {
		e.pending.classes[c.id] = struct{}{}
	}
	a.class = 0
}
