package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
)

// prefixListSet is the set of prefix lists that hold an address; addresses of one family and
// equal sets share it.
type prefixListSet struct {
	key              string
	family           policy.Family
	lists            []uint32 // sorted
	refs             int      // nets and equivalence cells that refer to it
	equivalenceCells *roaring.Bitmap
	based            *roaring.Bitmap           // equivalence cells for which it is the base
	nets             map[netip.Prefix]struct{} // the nets whose own addresses are in it
	withoutEndpoint  uint32                    // the equivalence cell of those addresses, while there are nets
}

func (ls *prefixListSet) has(list uint32) bool {
	_, found := slices.BinarySearch(ls.lists, list)
	return found
}

type prefixListSetTable struct {
	pool  pool[prefixListSet]
	byKey map[string]uint32
}

func (t *prefixListSetTable) at(id uint32) *prefixListSet { return t.pool.at(id) }

// prefixListSetOf returns the set of the prefix lists. It counts no reference: one that
// gets none is dropped by gcPrefixListSets.
func (e *selection) prefixListSetOf(family policy.Family, lists []uint32) uint32 {
	key := append(e.scratch.key[:0], byte(family))
	for _, s := range lists {
		key = binary.LittleEndian.AppendUint32(key, s)
	}
	e.scratch.key = key
	if id, ok := e.prefixListSets.byKey[string(key)]; ok {
		return id
	}
	ls := &prefixListSet{
		key: string(key), family: family, lists: slices.Clone(lists),
		equivalenceCells: roaring.New(), based: roaring.New(), nets: map[netip.Prefix]struct{}{},
	}
	id := e.prefixListSets.pool.add(ls)
	e.prefixListSets.byKey[ls.key] = id
	for _, s := range lists {
		e.prefixLists.at(s).prefixListSets.Add(id)
	}
	e.pending.prefixListSets[id] = struct{}{}
	return id
}

func (e *selection) retainPrefixListSet(id uint32) { e.prefixListSets.at(id).refs++ }

func (e *selection) releasePrefixListSet(id uint32) {
	ls := e.prefixListSets.at(id)
	if ls.refs--; ls.refs == 0 {
		e.pending.prefixListSets[id] = struct{}{}
	}
}

// gcPrefixListSets drops the prefix-list sets that nothing refers to any more.
func (e *selection) gcPrefixListSets() {
	for id := range e.pending.prefixListSets {
		ls := e.prefixListSets.at(id)
		if ls.refs > 0 {
			continue
		}
		for _, s := range ls.lists {
			e.prefixLists.at(s).prefixListSets.Remove(id)
		}
		delete(e.prefixListSets.byKey, ls.key)
		e.prefixListSets.pool.drop(id)
	}
	clear(e.pending.prefixListSets)
}

// basePrefixListSet returns the prefix-list set of the longest net of more than one address that
// holds the address.
func (e *selection) basePrefixListSet(addr netip.Addr) uint32 {
	if e.prefixLists.nodes.Size() == len(roots) {
		return e.rootPrefixListSet[policy.FamilyOf(addr).Index()]
	}
	n, _ := e.prefixLists.nodes.Lookup(addr)
	return n.prefixListSet
}

// place returns an address's prefix-list set and base: the base is the prefix-list set that it would
// have if no prefix list listed it by itself.
func (e *selection) place(addr netip.Addr) (prefixListSet, base uint32) {
	base = e.basePrefixListSet(addr)
	if len(e.prefixLists.hosts) == 0 {
		return base, base
	}
	own := e.prefixLists.hosts[addr]
	if len(own) == 0 {
		return base, base
	}
	b := e.prefixListSets.at(base)
	return e.prefixListSetOf(b.family, union(b.lists, own)), base
}
