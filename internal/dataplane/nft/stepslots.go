package nft

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// afterSlots gives and takes slots as classes get their first and lose their last
// address, and adds and deletes digit sets.
func (t *step) afterSlots() {
	for family := range t.slots {
		t.moveSlots(family)
		if len(t.slots[family]) > 0 {
			t.afterDigitSets(t.b.slots[family], t.tables.slots[family])
		}
	}
}

// moveSlots derives the slots of a family; those that are free go first, so that
// others take them.
func (t *step) moveSlots(family int) {
	change := func(id dataplane.ClassID) *slots {
		if t.slots[family] == nil {
			t.slots[family] = classSet{}
			t.tables.slots[family] = t.b.slots[family].clone()
		}
		t.slots[family][id] = true
		return t.tables.slots[family]
	}
	p := path{policy.Egress, family}
	var come []dataplane.ClassID
	for id, was := range t.classes {
		use := t.b.state.ClassUse(id)
		had, has := p.holds(was) && was.Addrs > 0, p.holds(use) && use.Addrs > 0
		if had && !has {
			change(id).free(id)
		}
		if has && !had {
			come = append(come, id)
		}
	}
	slices.Sort(come)
	for _, id := range come {
		change(id).take(id)
	}
}

// afterDigitSets adds and deletes digit sets as the number of digits changes.
func (t *step) afterDigitSets(was, is *slots) {
	for i := was.digitSets(); i < is.digitSets(); i++ {
		capacity := t.b.capacity[knownName(is.family)].capacity
		t.batch.AddSet(sized(digitSetName(is.family, i), is.family, capacity))
		t.capacity[digitSetName(is.family, i)] = usage{0, capacity}
	}
	for i := is.digitSets(); i < was.digitSets(); i++ {
		t.batch.DelSet(digitSetName(is.family, i), orderClassSet)
		t.capacity[digitSetName(is.family, i)] = usage{}
	}
}
