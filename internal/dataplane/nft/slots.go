package nft

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// slots numbers the classes of one family that hold addresses, so that plain
// sets can say which class an address has. A slot is a number of digits to base
// 4; for each digit and each value but 0 there is a digit set of the addresses
// whose class has that value there. Digit set i is for digit i/3 and value i%3+1;
// digit set -1 holds all addresses that have a class of their own.
type slots struct {
	family int
	of     map[dataplane.ClassID]uint32
	at     []dataplane.ClassID // by slot; 0 is free; the last one is not free
}

func newSlots(family int) *slots {
	return &slots{family: family, of: map[dataplane.ClassID]uint32{}}
}

// inDigitSet reports whether addresses of a slot's class are in a digit set.
func inDigitSet(slot uint32, digitSet int) bool {
	return digitSet < 0 || slot>>(2*(digitSet/3))&3 == uint32(digitSet%3)+1
}

// digitSetsOf counts the digit sets of a slot: each is an element for every address.
func digitSetsOf(slot uint32) int {
	return bits.OnesCount32((slot | slot>>1) & 0x55555555)
}

// fill gives slots to classes, the most populous first: theirs are in the fewest digit sets.
func (t *slots) fill(classes map[dataplane.ClassID]int) {
	order := make([]dataplane.ClassID, 0, len(classes))
	numbers := make([]uint32, 0, len(classes))
	for id := range classes {
		numbers = append(numbers, uint32(len(order)))
		order = append(order, id)
	}
	slices.SortFunc(order, func(a, b dataplane.ClassID) int {
		return cmp.Or(cmp.Compare(classes[b], classes[a]), cmp.Compare(a, b))
	})
	slices.SortFunc(numbers, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(digitSetsOf(a), digitSetsOf(b)), cmp.Compare(a, b))
	})
	t.at = make([]dataplane.ClassID, len(order))
	for i, id := range order {
		t.at[numbers[i]] = id
		t.of[id] = numbers[i]
	}
}

// take gives a class the lowest slot that is free.
func (t *slots) take(id dataplane.ClassID) {
	slot := slices.Index(t.at, 0)
	if slot < 0 {
		slot = len(t.at)
		t.at = append(t.at, 0)
	}
	t.at[slot] = id
	t.of[id] = uint32(slot)
}

// free takes a class's slot back.
func (t *slots) free(id dataplane.ClassID) {
	t.at[t.of[id]] = 0
	delete(t.of, id)
	for len(t.at) > 0 && t.at[len(t.at)-1] == 0 {
		t.at = t.at[:len(t.at)-1]
	}
}

func (t *slots) clone() *slots {
	c := &slots{family: t.family, of: make(map[dataplane.ClassID]uint32, len(t.of)), at: slices.Clone(t.at)}
	for id, slot := range t.of {
		c.of[id] = slot
	}
	return c
}

// classAt returns the class of a slot; 0 if it is free.
func (t *slots) classAt(slot uint32) dataplane.ClassID {
	if uint64(slot) >= uint64(len(t.at)) {
		return 0
	}
	return t.at[slot]
}

// levels returns how many digits slots have.
func (t *slots) levels() int {
	if len(t.at) == 0 {
		return 0
	}
	return (bits.Len(uint(len(t.at)-1)) + 1) / 2
}

// digitSets returns how many digit sets are in use, besides that of all addresses.
func (t *slots) digitSets() int { return 3 * t.levels() }

// lookupTables say where packets of which classes are found, for all class
// switches alike. A step makes new ones; the old ones stay as they are.
type lookupTables struct {
	slots     [2]*slots     // by family: addresses with a class of their own
	intervals [2][]interval // all others
	levels    [2]*netLevels // those of intervals of which there are many of a class
}
