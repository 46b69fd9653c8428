package compact

import mathbits "math/bits"

// Index finds items by a hash of their key in four bytes for each slot. The
// items hold their keys; the index holds their numbers, which are never 0.
//
// Where the numbers leave room, a slot holds the lowest bits of the hash above the
// number: an item of another hash, which is somewhere else in memory, need not be
// looked at to see that it is not the one.
type Index struct {
	hash  func(item uint32) uint64 // of an item that the index holds
	slots []uint32                 // at most three quarters full; 0 is empty
	bits  uint8                    // of a slot that are the number
	used  int
}

const (
	manySlots  = 1 << 15
	numberBits = 24 // of numbers, as long as none is larger
	slotBits   = 32
)

// NewIndex makes an index of items that hash gives the hash of. The upper bits of
// a hash must be as random as the lower ones.
func NewIndex(hash func(item uint32) uint64) Index {
	return Index{hash: hash, slots: make([]uint32, 16), bits: numberBits}
}

// item returns the number in a slot.
func (x *Index) item(slot uint32) uint32 { return slot & (^uint32(0) >> (slotBits - x.bits)) }

// mark returns what a slot holds of a hash, in its place.
func (x *Index) mark(h uint64) uint32 { return uint32(h) << x.bits }

// Len returns how many items the index holds.
func (x *Index) Len() int { return x.used }

// home returns the slot at which the search for a hash begins.
func (x *Index) home(h uint64) int {
	i, _ := mathbits.Mul64(h, uint64(len(x.slots)))
	return int(i)
}

// after returns the next slot, in a ring.
func (x *Index) after(i int) int {
	if i++; i == len(x.slots) {
		return 0
	}
	return i
}

// Find returns the item with that hash for which same reports true, or 0. Several may search at once.
func (x *Index) Find(h uint64, same func(item uint32) bool) uint32 {
	i, mark := x.home(h), x.mark(h)
	for ; x.slots[i] != 0; i = x.after(i) {
		item := x.item(x.slots[i])
		if x.slots[i] == mark|item && same(item) {
			return item
		}
	}
	return 0
}

// Add puts an item in that the index does not hold.
func (x *Index) Add(h uint64, item uint32) {
	size, bits := len(x.slots), x.bits
	switch {
	case x.isFull() && size < manySlots:
		size *= 2
	case x.isFull():
		// By half, not to twice as much: the larger an index is, the more it matters.
		size += size / 2
	}
	if !x.fits(item) {
		bits = slotBits
	}
	if size != len(x.slots) || bits != x.bits {
		x.remake(size, bits)
	}
	x.used++
	x.put(h, item)
}

// fits reports whether a number leaves room for a mark.
func (x *Index) fits(item uint32) bool { return x.item(item) == item }

// remake puts all items into slots anew, in the order of their numbers: so are they
// in memory, where their keys are looked at. That is several times as fast.
func (x *Index) remake(size int, bits uint8) {
	first, last := ^uint32(0), uint32(0)
	x.Each(func(item uint32) { first, last = min(first, item), max(last, item) })
	old := *x
	x.slots, x.bits = make([]uint32, size), bits
	if old.used == 0 {
		return
	}
	if int(last-first)/64 > len(old.slots) { // few of so many numbers
		old.Each(func(item uint32) { x.put(x.hash(item), item) })
		return
	}
	present := make([]uint64, (last-first)/64+1)
	old.Each(func(item uint32) { present[(item-first)/64] |= 1 << ((item - first) % 64) })
	for i, word := range present {
		for ; word != 0; word &= word - 1 {
			item := first + uint32(i*64+mathbits.TrailingZeros64(word))
			x.put(x.hash(item), item)
		}
	}
}

func (x *Index) isFull() bool { return 4*(x.used+1) > 3*len(x.slots) }

func (x *Index) put(h uint64, item uint32) {
	i := x.home(h)
	for x.slots[i] != 0 {
		i = x.after(i)
	}
	x.slots[i] = x.mark(h) | item
}

// Remove takes an item out, and closes the gap so that no search ends early.
func (x *Index) Remove(h uint64, item uint32) {
	i := x.home(h)
	for x.item(x.slots[i]) != item {
		if x.slots[i] == 0 {
			return
		}
		i = x.after(i)
	}
	x.used--
	for j := x.after(i); x.slots[j] != 0; j = x.after(j) {
		// The item at j may move to i if its search passes i.
		if x.distance(x.home(x.hash(x.item(x.slots[j]))), j) >= x.distance(i, j) {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = 0
}

// distance returns the steps from one slot to another.
func (x *Index) distance(from, to int) int {
	if to < from {
		to += len(x.slots)
	}
	return to - from
}

// Each visits all items, in no order.
func (x *Index) Each(visit func(item uint32)) {
	for _, slot := range x.slots {
		if slot != 0 {
			visit(x.item(slot))
		}
	}
}
