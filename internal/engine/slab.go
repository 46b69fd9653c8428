package engine

// slab holds items of one size in chunks: what grows to a million never moves
// and wastes little. Index 0 is none.
type slab[T any] struct {
	chunks [][]T
	free   []uint32
	next   uint32
}

const slabBits = 10 // items of a chunk, as a power of two

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>slabBits][i&(1<<slabBits-1)] }

// add gives the index of an item that is free; what it holds is left over.
func (s *slab[T]) add() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if s.next == 0 {
		s.next = 1
	}
	i := s.next
	if int(i>>slabBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, 1<<slabBits))
	}
	s.next++
	return i
}

// drop frees an item, which must not hold pointers that keep other things alive.
func (s *slab[T]) drop(i uint32) { s.free = append(s.free, i) }

// hashIndex finds items by a hash of their key in four bytes for each slot. The
// items hold their keys; the index holds their numbers, which are never 0.
type hashIndex struct {
	hash  func(item uint32) uint64 // of an item that the index holds
	slots []uint32                 // a power of two, at most three quarters full; 0 is empty
	used  int
	miss  uint64 // the slot at which the last search ended without an item
}

func newHashIndex(hash func(uint32) uint64) hashIndex {
	return hashIndex{hash: hash, slots: make([]uint32, 16)}
}

// find gives the item with that hash for which same reports true, or 0.
func (x *hashIndex) find(h uint64, same func(item uint32) bool) uint32 {
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for ; x.slots[i] != 0; i = (i + 1) & mask {
		if same(x.slots[i]) {
			return x.slots[i]
		}
	}
	x.miss = i
	return 0
}

// addMissed puts an item in for which find, with the same hash, has just found none.
func (x *hashIndex) addMissed(h uint64, item uint32) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.add(h, item)
		return
	}
	x.used++
	x.slots[x.miss] = item
}

// add puts an item in that the index does not hold.
func (x *hashIndex) add(h uint64, item uint32) {
	if x.used++; 4*x.used > 3*len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, 2*len(old))
		for _, o := range old {
			if o != 0 {
				x.put(x.hash(o), o)
			}
		}
	}
	x.put(h, item)
}

func (x *hashIndex) put(h uint64, item uint32) {
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = item
}

// remove takes an item out, and closes the gap so that no search ends early.
func (x *hashIndex) remove(h uint64, item uint32) {
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for x.slots[i] != item {
		if x.slots[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.used--
	for j := (i + 1) & mask; x.slots[j] != 0; j = (j + 1) & mask {
		// The item at j may move to i if its search passes i.
		if home := x.hash(x.slots[j]) & mask; (j-home)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = 0
}
