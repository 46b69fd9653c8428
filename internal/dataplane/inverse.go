package dataplane

import (
	"net/netip"
	"slices"
)

// inverse returns the delta that leads back from the state after d, which fits, to
// this one. There is no way back from the very first delta, since afterwards
// every family always has a class.
func (s *State) inverse(d *Delta) *Delta {
	inv := &Delta{
		AddRows:    map[RowID]Row{},
		DelRows:    sortedKeys(d.AddRows),
		AddClasses: d.DelClasses,
		DelClasses: d.AddClasses,
		SetAddrs:   map[netip.Addr]ClassID{},
		SetNets:    map[netip.Prefix]ClassID{},
	}
	for _, x := range d.AddDeciders {
		inv.DelDeciders = append(inv.DelDeciders, x.ID)
	}
	for _, id := range d.DelDeciders {
		inv.AddDeciders = append(inv.AddDeciders, s.deciders[id].Decider)
	}
	for _, id := range d.DelRows {
		inv.AddRows[id] = s.rows[id].row
	}
	s.invertPrograms(d, inv)
	s.invertPeers(d, inv)
	return inv
}

func (s *State) invertPrograms(d, inv *Delta) {
	added := map[ProgramID]bool{}
	for _, p := range d.SetPrograms {
		if old := s.programs[p.ID]; old != nil {
			inv.SetPrograms = append(inv.SetPrograms, Program{ID: p.ID, Base: old.Base})
		} else {
			inv.DelPrograms = append(inv.DelPrograms, p.ID)
			added[p.ID] = true
		}
	}
	for _, c := range d.SetCells {
		if !added[c.Program] { // cells go with their program
			inv.SetCells = append(inv.SetCells, Cell{c.Program, c.Class, s.programs[c.Program].Cells[c.Class]})
		}
	}
	for _, id := range d.DelPrograms {
		p := s.programs[id]
		inv.SetPrograms = append(inv.SetPrograms, Program{ID: id, Base: p.Base})
		for _, class := range sortedKeys(p.Cells) {
			inv.SetCells = append(inv.SetCells, Cell{id, class, p.Cells[class]})
		}
	}
	slices.SortFunc(inv.SetPrograms, comparePrograms)
	slices.SortFunc(inv.SetCells, compareCells)
}

func (s *State) invertPeers(d, inv *Delta) {
	for _, l := range d.SetLocals {
		if old, ok := s.locals[l.Addr]; ok {
			inv.SetLocals = append(inv.SetLocals, old)
		} else {
			inv.DelLocals = append(inv.DelLocals, l.Addr)
		}
	}
	for _, a := range d.DelLocals {
		inv.SetLocals = append(inv.SetLocals, s.locals[a])
	}
	slices.SortFunc(inv.SetLocals, compareLocals)
	s.invertHosts(d, inv)
	for a := range d.SetAddrs {
		if old, ok := s.addrClass(a); ok {
			inv.SetAddrs[a] = old
		} else {
			inv.DelAddrs = append(inv.DelAddrs, a)
		}
	}
	for _, a := range d.DelAddrs {
		inv.SetAddrs[a], _ = s.addrClass(a)
	}
	for p := range d.SetNets {
		if old, ok := s.nets.Get(p); ok {
			inv.SetNets[p] = old
		} else if p.Bits() > 0 {
			inv.DelNets = append(inv.DelNets, p)
		}
	}
	for _, p := range d.DelNets {
		inv.SetNets[p], _ = s.nets.Get(p)
	}
	slices.SortFunc(inv.DelAddrs, netip.Addr.Compare)
	slices.SortFunc(inv.DelNets, netip.Prefix.Compare)
}
