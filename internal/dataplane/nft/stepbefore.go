package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// before notes what the delta touches, as it is.
func (t *step) before(d *dataplane.Delta) {
	s := t.b.state
	touch := func(e entry) { t.entries[e] = t.b.value(e) }
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
		touch(toNodeEntry(a))
		l, _ := s.Local(a)
		t.touchToNode(l)
	}
	for _, l := range d.SetLocals {
		touchLocal(l.Addr)
		t.touchToNode(l)
	}
	for _, a := range d.DelLocals {
		touchLocal(a)
	}
	for _, dir := range policy.Directions {
		for _, p := range d.SetPrograms {
			for a := range s.LocalsOf(p.ID, dir) {
				touch(entry{kind: entryBase, path: path{dir, familyOf(a)}, addr: a})
				for class := range s.Program(p.ID).Cells { // exceptions from another base
					touch(entry{entryCell, path{dir, familyOf(a)}, class, a})
				}
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
		class, ok := s.NetClass(p)
		if ok {
			t.touchClass(class)
		}
		t.nets[familyOf(p.Addr())] = append(t.nets[familyOf(p.Addr())], netStep{p, class})
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
	t.gone = d.DelRows
	for _, id := range d.DelRows {
		t.touchDeciders(t.b.state.Row(id))
	}
}
