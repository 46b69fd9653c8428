package nft

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// after compares what was noted with what is now, and fills the batch.
func (t *step) after(d *dataplane.Delta) error {
	if err := t.afterRows(d); err != nil {
		return err
	}
	t.afterDeciders()
	t.touchNewCells(d)
	t.afterEntries()
	t.afterSlots()
	t.afterAddrs()
	t.afterRoom()
	t.afterNets()
	t.afterHosts(d)
	return nil
}

func (t *step) afterRows(d *dataplane.Delta) error {
	for _, id := range slices.Sorted(maps.Keys(d.AddRows)) {
		parts, err := compileRow(id, d.AddRows[id])
		if err != nil {
			return err
		}
		t.batch.addRow(parts)
	}
	for _, parts := range t.oldRows {
		for _, c := range parts.chains {
			t.batch.delChain(c.name, c.rank)
		}
		for _, s := range parts.sets {
			t.batch.delSet(s.name, s.rank)
		}
	}
	return nil
}

func (b *batch) addRow(parts rowParts) {
	for _, s := range parts.sets {
		b.addSet(s.setSpec)
		for _, e := range s.elements {
			b.addElement(s.name, e)
		}
	}
	for _, c := range parts.chains {
		b.addChain(c)
	}
}

func (t *step) afterDeciders() {
	for id, was := range t.deciders {
		d, denying, allowing, _ := t.b.state.Decider(id)
		for i, is := range [2]bool{denying > 0, allowing > 0} {
			switch allow := i == 1; {
			case is && !was[i]:
				t.batch.addChain(t.b.deciderChain(d, allow))
			case was[i] && !is:
				t.batch.delChain(deciderName(id, allow), rankDecider)
			}
		}
	}
}

// afterAddrs writes the addresses whose class changed into the sets of marks.
func (t *step) afterAddrs() {
	for family, list := range t.addrs {
		slots := t.slots[family]
		if slots == nil {
			slots = t.b.slots[family]
		}
		for _, a := range list {
			newSlot := int64(-1)
			if class, ok := t.b.state.AddrClass(a.addr); ok {
				newSlot = int64(slots.of[class])
			}
			t.writeAddr(family, slots.marks(), a.addr, a.oldSlot, newSlot)
		}
	}
}

// writeAddr writes one address's way from one slot to another; -1 is none. The
// sets of marks beyond those in use go away as a whole.
func (t *step) writeAddr(family, marks int, a netip.Addr, was, is int64) {
	e := element{key: addrKey(a)}
	for mark := -1; mark < marks; mark++ {
		switch had, has := was >= 0 && marked(uint32(was), mark), is >= 0 && marked(uint32(is), mark); {
		case has && !had:
			t.batch.addElement(markName(family, mark), e)
		case had && !has:
			t.batch.delElement(markName(family, mark), e)
		}
	}
}

// afterRoom counts what is in the sets of addresses.
func (t *step) afterRoom() {
	for _, change := range []struct {
		lists map[string]*elementList
		n     int
	}{{t.batch.add, 1}, {t.batch.del, -1}} {
		for name, list := range change.lists {
			f, ok := t.room[name]
			if !ok {
				if f, ok = t.b.room[name]; !ok {
					continue // not a set of addresses
				}
			}
			f.used += change.n * list.n
			t.room[name] = f
			t.full = t.full || f.used > f.room
		}
	}
}

// afterNets writes the intervals that changed.
func (t *step) afterNets() {
	for family, touched := range t.nets {
		if len(touched) == 0 {
			continue
		}
		var diff map[span]int
		t.intervals[family], diff = reflatten(t.b.state, t.b.intervals[family], touched)
		t.spans[family] = diff
		for v, n := range diff {
			for _, dir := range policy.Directions {
				p := path{dir, family}
				for _, e := range v.elements(p) {
					if n < 0 {
						t.batch.delElement(p.netsName(), e)
					} else {
						t.batch.addElement(p.netsName(), e)
					}
				}
			}
		}
	}
}

// commit takes over what the step changed, once the kernel has the batch.
func (t *step) commit() {
	for family := range t.slots {
		if t.slots[family] != nil {
			t.b.slots[family] = t.slots[family]
		}
		if t.intervals[family] != nil {
			t.b.intervals[family] = t.intervals[family]
		}
	}
	if t.host != nil {
		t.b.host.content = t.host
	}
	for name, f := range t.room {
		if f.room == 0 {
			delete(t.b.room, name)
		} else {
			t.b.room[name] = f
		}
	}
	for set, n := range t.cells {
		if n == 0 {
			delete(t.b.cells, set)
		} else {
			t.b.cells[set] = n
		}
	}
}
