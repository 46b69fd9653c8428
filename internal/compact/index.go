package compact

import "math/bits"

// Index finds items by a hash of their key in four bytes for each slot. The
// items hold their keys; the index holds their numbers, which are never 0.
type Index struct {
	hash  func(item uint32) uint64 // of an item that the index holds
	slots []uint32                 // at most three quarters full; 0 is empty
	used  int
	miss  int // the slot at which the last search ended without an item
}

// NewIndex makes an index of items that hash gives the hash of. The upper bits of
// a hash must be as random as the lower ones.
func NewIndex(hash func(item uint32) uint64) Index {
	return Index{hash: hash, slots: make([]uint32, 16)}
}

// Len gives how many items the index holds.
func (x *Index) Len() int { return x.used }

// home gives the slot at which the search for a hash begins.
func (x *Index) home(h uint64) int {
	i, _ := bits.Mul64(h, uint64(len(x.slots)))
	return int(i)
}

// after gives the next slot, in a ring.
func (x *Index) after(i int) int {
	if i++; i == len(x.slots) {
		return 0
	}
	return i
}

// Find gives the item with that hash for which same reports true, or 0.
func (x *Index) Find(h uint64, same func(item uint32) bool) uint32 {
	i := x.home(h)
	for ; x.slots[i] != 0; i = x.after(i) {
		if same(x.slots[i]) {
			return x.slots[i]
		}
	}
	x.miss = i
	return 0
}

// AddMissed puts an item in for which Find, with the same hash, has just found none.
func (x *Index) AddMissed(h uint64, item uint32) {
	if x.isFull() {
		x.Add(h, item)
		return
	}
	x.used++
	x.slots[x.miss] = item
}

// Add puts an item in that the index does not hold.
func (x *Index) Add(h uint64, item uint32) {
	if x.isFull() {
		// By half, not to twice as much: the larger an index is, the more it matters.
		old := x.slots
		x.slots = make([]uint32, len(old)+len(old)/2)
		for _, o := range old {
			if o != 0 {
				x.put(x.hash(o), o)
			}
		}
	}
	x.used++
	x.put(h, item)
}

func (x *Index) isFull() bool { return 4*(x.used+1) > 3*len(x.slots) }

func (x *Index) put(h uint64, item uint32) {
	i := x.home(h)
	for x.slots[i] != 0 {
		i = x.after(i)
	}
	x.slots[i] = item
}

// Remove takes an item out, and closes the gap so that no search ends early.
func (x *Index) Remove(h uint64, item uint32) {
	i := x.home(h)
	for x.slots[i] != item {
		if x.slots[i] == 0 {
			return
		}
		i = x.after(i)
	}
	x.used--
	for j := x.after(i); x.slots[j] != 0; j = x.after(j) {
		// The item at j may move to i if its search passes i.
		if x.distance(x.home(x.hash(x.slots[j])), j) >= x.distance(i, j) {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = 0
}

// distance gives the steps from one slot to another.
func (x *Index) distance(from, to int) int {
	if to < from {
		to += len(x.slots)
	}
	return to - from
}

// Each visits all items, in no order.
func (x *Index) Each(visit func(item uint32)) {
	for _, item := range x.slots {
		if item != 0 {
			visit(item)
		}
	}
}
