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

// equivalenceCell is a group of addresses that no rule can tell apart: owned by endpoints
// of one identity, or by none, in the same prefix-list set.
type equivalenceCell struct {
	equivalenceCellKey
	class  dataplane.ClassID
	out    dataplane.ClassID // what the last flush emitted for its addresses; 0 for nothing
	head   uint32            // the first of its records
	weight int               // records or, for a cell without endpoint, nets
}

// equivalenceCellKey names an equivalence cell. who is the identity of the owner, 0 for none; base is
// the prefix-list set that the nets around the addresses give, 0 for a cell without endpoint.
type equivalenceCellKey struct {
	who, prefixListSet, base uint32
}

type equivalenceCellTable struct {
	pool  pool[equivalenceCell]
	byKey compact.Index
	all   *roaring.Bitmap

	recent uint32 // the equivalence cell that was asked for last: endpoints of one identity often come together
}

func newEquivalenceCellTable() *equivalenceCellTable {
	t := &equivalenceCellTable{all: roaring.New()}
	t.byKey = compact.NewIndex(func(id uint32) uint64 { return t.at(id).hash() })
	return t
}

func (k equivalenceCellKey) hash() uint64 {
	return mix(mix(uint64(k.who), uint64(k.prefixListSet)<<32|uint64(k.base)), 4)
}

func (t *equivalenceCellTable) at(id uint32) *equivalenceCell { return t.pool.at(id) }

// equivalenceCellOf returns the equivalence cell of an owner's identity at a place. An equivalence cell without
// records is dropped when the last one leaves it.
func (e *addressing) equivalenceCellOf(who, prefixListSet, base uint32) uint32 {
	key := equivalenceCellKey{who, prefixListSet, base}
	if r := e.equivalenceCells.recent; r != 0 && e.equivalenceCells.at(r).equivalenceCellKey == key {
		return r
	}
	h := key.hash()
	if id := e.equivalenceCells.byKey.Find(h, func(id uint32) bool { return e.equivalenceCells.at(id).equivalenceCellKey == key }); id != 0 {
		e.equivalenceCells.recent = id
		return id
	}
	id := e.addEquivalenceCell(&equivalenceCell{equivalenceCellKey: key})
	e.equivalenceCells.byKey.Add(h, id)
	e.equivalenceCells.recent = id
	if who != 0 {
		in := e.identities.at(who)
		in.equivalenceCells = append(in.equivalenceCells, id)
	}
	e.retainPrefixListSet(base)
	e.prefixListSets.at(base).based.Add(id)
	return id
}

// addCellWithoutEndpoint adds the cell of the addresses of nets that no endpoint owns
// and no prefix list lists one by one.
func (e *addressing) addCellWithoutEndpoint(prefixListSet uint32) uint32 {
	return e.addEquivalenceCell(&equivalenceCell{equivalenceCellKey: equivalenceCellKey{prefixListSet: prefixListSet}})
}

// addEquivalenceCell adds a cell, which the next flush finds a class for.
func (e *addressing) addEquivalenceCell(a *equivalenceCell) uint32 {
	id := e.equivalenceCells.pool.add(a)
	e.equivalenceCells.all.Add(id)
	e.retainPrefixListSet(a.prefixListSet)
	e.prefixListSets.at(a.prefixListSet).equivalenceCells.Add(id)
	e.pending.equivalenceCells.Add(id)
	return id
}

func (e *addressing) dropEquivalenceCell(id uint32) {
	a := e.equivalenceCells.at(id)
	if a.who != 0 {
		in := e.identities.at(a.who)
		in.equivalenceCells = without(in.equivalenceCells, id)
	}
	if a.base != 0 {
		e.equivalenceCells.byKey.Remove(a.hash(), id)
		e.prefixListSets.at(a.base).based.Remove(id)
		e.releasePrefixListSet(a.base)
	}
	e.prefixListSets.at(a.prefixListSet).equivalenceCells.Remove(id)
	e.releasePrefixListSet(a.prefixListSet)
	e.leaveClass(id, a)
	if e.equivalenceCells.recent == id {
		e.equivalenceCells.recent = 0
	}
	e.equivalenceCells.all.Remove(id)
	e.pending.equivalenceCells.Remove(id)
	e.equivalenceCells.pool.drop(id)
}

// gcCellsWithoutEndpoint drops the cells without endpoint of prefix-list sets that have no nets any more.
func (e *addressing) gcCellsWithoutEndpoint() {
	for _, id := range sortedKeys(e.pending.emptied) {
		if ls := e.prefixListSets.at(id); len(ls.nets) == 0 && ls.withoutEndpoint != 0 {
			e.dropEquivalenceCell(ls.withoutEndpoint)
			ls.withoutEndpoint = 0
		}
	}
	clear(e.pending.emptied)
}

// addWeight counts more or fewer addresses and nets of a cell, and of its class.
func (e *addressing) addWeight(a *equivalenceCell, d int) {
	a.weight += d
	if a.class != 0 {
		e.classes.byID[a.class].weight += d
	}
}

// leaveClass takes an equivalence cell out of its class. A class without equivalence cells is dropped
// by recomputeClasses.
func (e *addressing) leaveClass(id uint32, a *equivalenceCell) {
	if a.class == 0 {
		return
	}
	c := e.classes.byID[a.class]
	c.equivalenceCells.Remove(id)
	c.weight -= a.weight
	if c.equivalenceCells.IsEmpty() {
		e.pending.classes[c.id] = struct{}{}
	}
	a.class = 0
}
