package nft

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// slots numbers the classes of one family that hold addresses, so that plain
// sets can say which class an address has. A slot is a number of digits to base
// 4; for each digit and each value but 0 there is a set, a mark, of the addresses
// whose class has that value there. Mark m is for digit m/3 and value m%3+1; mark
// -1 is on all addresses that have a class of their own.
type slots struct {
	family int
	of     map[dataplane.ClassID]uint32
	at     []dataplane.ClassID // by slot; 0 is free; the last one is not free
}

func newSlots(family int) *slots {
	return &slots{family: family, of: map[dataplane.ClassID]uint32{}}
}

// marked reports whether a slot has a mark.
func marked(slot uint32, mark int) bool {
	return mark < 0 || slot>>(2*(mark/3))&3 == uint32(mark%3)+1
}

// marks counts the marks of a slot: each is an element for every address.
func marks(slot uint32) int {
	return bits.OnesCount32((slot | slot>>1) & 0x55555555)
}

// fill returns slots to classes, the most populous first: theirs have the fewest marks.
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
		return cmp.Or(cmp.Compare(marks(a), marks(b)), cmp.Compare(a, b))
	})
	t.at = make([]dataplane.ClassID, len(order))
	for i, id := range order {
		t.at[numbers[i]] = id
		t.of[id] = numbers[i]
	}
}

// take returns a class the lowest slot that is free.
func (t *slots) take(id dataplane.ClassID) uint32 {
	slot := slices.Index(t.at, 0)
	if slot < 0 {
		slot = len(t.at)
		t.at = append(t.at, 0)
	}
	t.at[slot] = id
	t.of[id] = uint32(slot)
	return uint32(slot)
}

// free takes a class's slot back.
func (t *slots) free(id dataplane.ClassID) uint32 {
	slot := t.of[id]
	t.at[slot] = 0
	delete(t.of, id)
	for len(t.at) > 0 && t.at[len(t.at)-1] == 0 {
		t.at = t.at[:len(t.at)-1]
	}
	return slot
}

func (t *slots) clone() *slots {
	c := &slots{family: t.family, of: make(map[dataplane.ClassID]uint32, len(t.of)), at: slices.Clone(t.at)}
	for id, slot := range t.of {
		c.of[id] = slot
	}
	return c
}

// levels returns how many nodes a packet passes from the root to its class: each
// looks at one digit.
func (t *slots) levels() int {
	if len(t.at) == 0 {
		return 0
	}
	return (bits.Len(uint(len(t.at)-1)) + 1) / 2
}

// marks returns how many marks are in use, besides that of all addresses.
func (t *slots) marks() int { return 3 * t.levels() }

// node names a node of the tree: at level 1 its children are classes. Its slots
// are those that begin with index, when as many digits as its level are taken off.
type node struct {
	level int
	index uint32
}

// holds reports whether any class has its slot under the node.
func (t *slots) holds(n node) bool {
	first := uint64(n.index) << (2 * n.level)
	last := min(first+1<<(2*n.level), uint64(len(t.at)))
	for slot := first; slot < last; slot++ {
		if t.at[slot] != 0 {
			return true
		}
	}
	return false
}

// exists reports whether the tree has the node.
func (t *slots) exists(n node) bool {
	return 1 <= n.level && n.level <= t.levels() && t.holds(n)
}

// chain names the chain of a node, or of a class at level 0.
func (t *slots) chain(p path, n node) string {
	if n.level == 0 {
		return p.className(t.at[n.index])
	}
	return fmt.Sprintf("%v-node-%d-%d", p, n.level, n.index)
}

// root names the chain where the tree begins; it is empty if there are no slots.
func (t *slots) root(p path) string {
	if len(t.at) == 0 {
		return ""
	}
	return t.chain(p, node{t.levels(), 0})
}

// nodes returns all nodes, from the root down.
func (t *slots) nodes() []node {
	var all []node
	for level := t.levels(); level > 0; level-- {
		for index := uint32(0); uint64(index)<<(2*level) < uint64(len(t.at)); index++ {
			if n := (node{level, index}); t.holds(n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// nodeChain returns the chain of a node that exists.
func (t *slots) nodeChain(p path, n node) chainRules {
	c := chainRules{name: t.chain(p, n), rank: rankNode + rank(31-n.level)}
	for value := range 3 {
		child := node{n.level - 1, n.index*4 + uint32(value) + 1}
		if !t.holds(child) {
			continue
		}
		// No match on the family, for speed: only packets of one come here.
		mark := inSet(markName(t.family, 3*(n.level-1)+value))
		c.rules = append(c.rules, when([]expr{address(t.family, p.peer()), mark}, goTo(t.chain(p, child))))
	}
	last := drop // no address has such a slot
	if child := (node{n.level - 1, n.index * 4}); t.holds(child) {
		last = goTo(t.chain(p, child))
	}
	c.rules = append(c.rules, always(last))
	return c
}
