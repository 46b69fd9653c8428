package nft

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// afterSlots returns and takes slots as classes get their first and lose their
// last address, and brings the trees in line.
func (t *step) afterSlots() {
	var changed [2][]uint32
	change := func(family int, f func(*slots) uint32) {
		if t.slots[family] == nil {
			t.slots[family] = t.b.slots[family].clone()
		}
		changed[family] = append(changed[family], f(t.slots[family]))
	}
	for family := range t.slots {
		p := path{policy.Egress, family}
		var come []dataplane.ClassID
		for id, was := range t.classes {
			use := t.b.state.ClassUse(id)
			had, has := p.holds(was) && was.Addrs > 0, p.holds(use) && use.Addrs > 0
			if had && !has {
				change(family, func(s *slots) uint32 { return s.free(id) })
			}
			if has && !had {
				come = append(come, id)
			}
		}
		slices.Sort(come)
		for _, id := range come {
			change(family, func(s *slots) uint32 { return s.take(id) })
		}
	}
	for family, slots := range changed {
		if len(slots) > 0 {
			t.afterTree(t.b.slots[family], t.slots[family], slots)
		}
	}
}

// afterTree writes the difference between two trees that differ in some slots.
func (t *step) afterTree(was, is *slots, changed []uint32) {
	nodes := map[node]bool{}
	for level := 1; level <= max(was.levels(), is.levels()); level++ {
		nodes[node{level, 0}] = true
		for _, slot := range changed {
			nodes[node{level, slot >> (2 * level)}] = true
		}
	}
	for mark := was.marks(); mark < is.marks(); mark++ {
		room := t.b.room[knownName(is.family)].room
		t.batch.addSet(sized(markName(is.family, mark), is.family, room))
		t.room[markName(is.family, mark)] = usage{0, room}
	}
	for mark := is.marks(); mark < was.marks(); mark++ {
		t.batch.delSet(markName(is.family, mark), rankClassSet)
		t.room[markName(is.family, mark)] = usage{}
	}
	for _, dir := range policy.Directions {
		p := path{dir, is.family}
		if was.root(p) != is.root(p) {
			t.batch.setRules(p.entryChain(is.root(p)))
		}
		for n := range nodes {
			switch had, has := was.exists(n), is.exists(n); {
			case has && !had:
				t.batch.addChain(is.nodeChain(p, n))
			case had && !has:
				c := was.nodeChain(p, n)
				t.batch.delChain(c.name, c.rank)
			case has:
				if c := is.nodeChain(p, n); !equalRules(c.rules, was.nodeChain(p, n).rules) {
					t.batch.setRules(c)
				}
			}
		}
	}
}

// equalRules compares rules, counters aside.
func equalRules(a, b []rule) bool {
	return slices.EqualFunc(a, b, func(x, y rule) bool { return x.comment == y.comment && slices.Equal(x.exprs, y.exprs) })
}
