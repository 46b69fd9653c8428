package nft

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// after compares what was noted with what is now, and fills the batch.
func (t *step) after(d *dataplane.Delta) error {
	t.afterDeciders()
	t.touchNewCells(d)
	t.afterEntries()
	t.afterSlots()
	t.afterAddrs()
	t.afterCapacity()
	t.afterNets()
	t.afterSwitches()
	t.afterHosts(d)
	return t.afterRows()
}

// afterRows writes the chains of rows and of exceptions that somebody begins to lead to, and
// deletes those that nobody leads to any more.
func (t *step) afterRows() error {
	for _, name := range slices.Sorted(maps.Keys(t.rowChains)) {
		c := t.rowChains[name]
		was := t.b.rowChains[name].refs
		if (was > 0) == (was+c.refs > 0) {
			continue
		}
		parts, err := c.parts(name)
		if err != nil {
			return err
		}
		if was == 0 {
			parts.emit(t.batch)
			continue
		}
		for _, c := range parts.chains {
			t.batch.DelChain(c.Name, c.Order)
		}
		for _, s := range parts.sets {
			t.batch.DelSet(s.Name, s.Order)
		}
	}
	return nil
}

// retainRowChain counts that n more lead to a chain.
func (t *step) retainRowChain(name string, c rowChain, n int) {
	if old, ok := t.b.rowChains[name]; ok {
		c = old
	}
	c.refs = n + t.rowChains[name].refs
	t.rowChains[name] = c
}

// moveEntry counts that an entry leads to another chain of a row, or of exceptions.
func (t *step) moveEntry(e entry, was, is codec.Verdict) {
	if e.kind != entryBase && e.kind != entryCell {
		return
	}
	if was != (codec.Verdict{}) {
		t.retainRowChain(was.Chain, rowChain{}, -1)
	}
	if is != (codec.Verdict{}) {
		name, c, _ := t.b.rowChainOf(e)
		t.retainRowChain(name, c, 1)
	}
}

func (t *step) afterDeciders() {
	for id, was := range t.deciders {
		d, denying, allowing, _ := t.b.state.Decider(id)
		for i, is := range [2]bool{denying > 0, allowing > 0} {
			switch allow := i == 1; {
			case is && !was[i]:
				t.batch.AddChain(t.b.deciderChain(d, allow))
			case was[i] && !is:
				t.batch.DelChain(deciderName(id, allow), orderDecider)
			}
		}
	}
}

// afterAddrs writes the addresses whose class changed into the digit sets.
func (t *step) afterAddrs() {
	for family, list := range t.addrs {
		slots := t.tables.slots[family]
		for _, a := range list {
			newSlot := int64(-1)
			if class, ok := t.b.state.AddrClass(a.addr); ok {
				newSlot = int64(slots.of[class])
			}
			t.writeAddr(family, slots.digitSets(), a.addr, a.oldSlot, newSlot)
		}
	}
}

// writeAddr writes one address's way from one slot to another; -1 is none. The
// digit sets beyond those in use go away as a whole.
func (t *step) writeAddr(family, digitSets int, a netip.Addr, was, is int64) {
	e := codec.Element{Key: addrKey(a)}
	for i := -1; i < digitSets; i++ {
		switch had, has := was >= 0 && inDigitSet(uint32(was), i), is >= 0 && inDigitSet(uint32(is), i); {
		case has && !had:
			t.batch.AddElement(digitSetName(family, i), e)
		case had && !has:
			t.batch.DelElement(digitSetName(family, i), e)
		}
	}
}

// afterCapacity counts what is in the sets of addresses.
func (t *step) afterCapacity() {
	t.batch.EachChange(func(set string, n int) {
		f, ok := t.capacity[set]
		if !ok {
			if f, ok = t.b.capacity[set]; !ok {
				return // not a set of addresses
			}
		}
		f.used += n
		t.capacity[set] = f
		t.full = t.full || f.used > f.capacity
	})
}

// afterNets derives the intervals, and what changed of them, and writes the levels.
func (t *step) afterNets() {
	for family, touched := range t.nets {
		if len(touched) == 0 {
			continue
		}
		prefixes := make([]netip.Prefix, len(touched))
		for i, p := range touched {
			prefixes[i] = p.prefix
		}
		t.tables.intervals[family], t.spans[family] = reflatten(t.b.state, t.b.intervals[family], prefixes)
		was := t.b.levels[family]
		t.tables.levels[family] = was.step(t.b.state, t.spans[family], touched)
		t.tables.levels[family].write(was, t.b.state, touched, t.batch)
	}
}

// afterSwitches brings the switches of local endpoints in line.
func (t *step) afterSwitches() {
	for i, p := range paths {
		c := t.switchChange(p.family)
		if c.none() {
			continue
		}
		was := t.b.switches[i]
		next := *was
		next.step(was, &t.b.lookupTables, &t.tables, c, t.batch)
		t.switches[i] = &next
	}
}
