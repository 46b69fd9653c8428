package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
)

// listSet is the set of prefix lists that hold an address; addresses of one family and
// equal sets share it.
type listSet struct {
	key             string
	family          policy.Family
	lists           []uint32 // sorted
	refs            int      // nets and equivalence cells that refer to it
	eqCells         *roaring.Bitmap
	based           *roaring.Bitmap           // equivalence cells for which it is the base
	nets            map[netip.Prefix]struct{} // the nets whose own addresses are in it
	withoutEndpoint uint32                    // the equivalence cell of those addresses, while there are nets
}

func (ls *listSet) has(list uint32) bool {
	_, found := slices.BinarySearch(ls.lists, list)
	return found
}

type listSetTable struct {
	pool  pool[listSet]
	byKey map[string]uint32
}

func (t *listSetTable) at(id uint32) *listSet { return t.pool.at(id) }

// listSetOf returns the set of the prefix lists. It counts no reference: one that
// gets none is dropped by gcListSets.
func (e *selection) listSetOf(family policy.Family, lists []uint32) uint32 {
	key := append(e.scratch.key[:0], byte(family))
	for _, s := range lists {
		key = binary.LittleEndian.AppendUint32(key, s)
	}
	e.scratch.key = key
	if id, ok := e.listSets.byKey[string(key)]; ok {
		return id
	}
	ls := &listSet{
		key: string(key), family: family, lists: slices.Clone(lists),
		eqCells: roaring.New(), based: roaring.New(), nets: map[netip.Prefix]struct{}{},
	}
	id := e.listSets.pool.add(ls)
	e.listSets.byKey[ls.key] = id
	for _, s := range lists {
		e.prefixLists.at(s).listSets.Add(id)
	}
	e.pending.listSets[id] = struct{}{}
	return id
}

func (e *selection) retainListSet(id uint32) { e.listSets.at(id).refs++ }

func (e *selection) releaseListSet(id uint32) {
	ls := e.listSets.at(id)
	if ls.refs--; ls.refs == 0 {
		e.pending.listSets[id] = struct{}{}
	}
}

// gcListSets drops the prefix-list sets that nothing refers to any more.
func (e *selection) gcListSets() {
	for id := range e.pending.listSets {
		ls := e.listSets.at(id)
		if ls.refs > 0 {
			continue
		}
		for _, s := range ls.lists {
			e.prefixLists.at(s).listSets.Remove(id)
		}
		delete(e.listSets.byKey, ls.key)
		e.listSets.pool.drop(id)
	}
	clear(e.pending.listSets)
}

// baseListSet returns the prefix-list set of the longest net of more than one address that
// holds the address.
func (e *selection) baseListSet(addr netip.Addr) uint32 {
	if e.prefixLists.nodes.Size() == len(roots) {
		return e.rootListSet[familyIndex(addr)]
	}
	n, _ := e.prefixLists.nodes.Lookup(addr)
	return n.listSet
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// place returns an address's prefix-list set and base: the base is the prefix-list set that it would
// have if no prefix list listed it by itself.
func (e *selection) place(addr netip.Addr) (listSet, base uint32) {
	base = e.baseListSet(addr)
	if len(e.prefixLists.hosts) == 0 {
		return base, base
	}
	own := e.prefixLists.hosts[addr]
	if len(own) == 0 {
		return base, base
	}
	b := e.listSets.at(base)
	return e.listSetOf(b.family, union(b.lists, own)), base
}
