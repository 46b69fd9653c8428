package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// A step goes from one state of the tables to the next in four moves: note what
// the delta touches as it is (before), apply the delta to the state, compare
// with what it is now (after), and write the difference. So the kernel's tables
// depend on the state only, however it was reached.
type step struct {
	b     *Dataplane
	batch *codec.Batch

	entries  map[entry]codec.Verdict // zero: there was none
	classes  map[dataplane.ClassID]dataplane.ClassUse
	deciders map[dataplane.DeciderID][2]bool
	addrs    [2][]addrStep
	nets     [2][]netip.Prefix
	oldRows  []rowParts

	// What changes in the backend once the kernel has taken the batch.
	tables   lookupTables
	slots    [2]classSet              // classes whose slot came, went or is another one
	spans    [2]map[span]int          // of the intervals: gone (-1) and new (+1)
	switches [len(paths)]*classSwitch // nil: as they were
	cells    map[cellSet]int
	capacity map[string]usage // changes; capacity 0: the set goes away
	host     *hostContent
	full     bool // a set has not enough capacity: write all anew
}

// addrStep is an address that gets, changes or loses its class.
type addrStep struct {
	addr    netip.Addr
	oldSlot int64 // -1: it had none
}

func newStep(b *Dataplane) *step {
	return &step{
		b: b, batch: codec.NewBatch(b.table), tables: b.lookupTables,
		entries: map[entry]codec.Verdict{}, classes: map[dataplane.ClassID]dataplane.ClassUse{},
		deciders: map[dataplane.DeciderID][2]bool{}, cells: map[cellSet]int{}, capacity: map[string]usage{},
	}
}

// before notes what the delta touches, as it is.
func (t *step) before(d *dataplane.Delta) {
	s := t.b.state
	touch := func(e entry) { t.entries[e] = e.value(s) }
	touchLocal := func(a netip.Addr) {
		for _, dir := range policy.Directions {
			p := path{dir, familyOf(a)}
			touch(entry{kind: entryDispatch, path: p, addr: a})
			touch(entry{kind: entryBase, path: p, addr: a})
			if l, ok := s.Local(a); ok && l.Program(dir) != 0 {
				for class := range s.Program(l.Program(dir)).Cells {
					touch(entry{entryCell, p, class, a})
				}
			}
		}
		touch(entry{kind: entrySelf, path: path{policy.Egress, familyOf(a)}, addr: a})
		touch(hereEntry(a))
	}
	for _, l := range d.SetLocals {
		touchLocal(l.Addr)
	}
	for _, a := range d.DelLocals {
		touchLocal(a)
	}
	for _, dir := range policy.Directions {
		for _, p := range d.SetPrograms {
			for a := range s.LocalsOf(p.ID, dir) {
				touch(entry{kind: entryBase, path: path{dir, familyOf(a)}, addr: a})
			}
		}
		for _, c := range d.SetCells {
			for a := range s.LocalsOf(c.Program, dir) {
				touch(entry{entryCell, path{dir, familyOf(a)}, c.Class, a})
			}
		}
	}
	t.beforePeers(d)
	t.beforeRows(d)
}

func (t *step) touchClass(id dataplane.ClassID) {
	if _, done := t.classes[id]; !done {
		t.classes[id] = t.b.state.ClassUse(id)
	}
}

func (t *step) beforePeers(d *dataplane.Delta) {
	s := t.b.state
	slotOf := func(a netip.Addr) int64 {
		class, ok := s.AddrClass(a)
		if !ok {
			return -1
		}
		t.touchClass(class)
		return int64(t.b.slots[familyOf(a)].of[class])
	}
	for a, class := range d.SetAddrs {
		t.touchClass(class)
		t.addrs[familyOf(a)] = append(t.addrs[familyOf(a)], addrStep{a, slotOf(a)})
	}
	for _, a := range d.DelAddrs {
		t.addrs[familyOf(a)] = append(t.addrs[familyOf(a)], addrStep{a, slotOf(a)})
	}
	touchNet := func(p netip.Prefix) {
		t.nets[familyOf(p.Addr())] = append(t.nets[familyOf(p.Addr())], p)
		if class, ok := s.NetClass(p); ok {
			t.touchClass(class)
		}
	}
	for p, class := range d.SetNets {
		t.touchClass(class)
		touchNet(p)
	}
	for _, p := range d.DelNets {
		touchNet(p)
	}
}

func (t *step) touchDeciders(row dataplane.Row) {
	for _, g := range row {
		if _, done := t.deciders[g.Decider]; !done && g.Decider != 0 {
			_, denying, allowing, _ := t.b.state.Decider(g.Decider)
			t.deciders[g.Decider] = [2]bool{denying > 0, allowing > 0}
		}
	}
}

func (t *step) beforeRows(d *dataplane.Delta) {
	for _, row := range d.AddRows {
		t.touchDeciders(row)
	}
	for _, id := range d.DelRows {
		row := t.b.state.Row(id)
		t.touchDeciders(row)
		if parts, err := compileRow(id, row); err == nil {
			t.oldRows = append(t.oldRows, parts)
		}
	}
}
