package dataplane

import (
	"fmt"
	"maps"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Apply takes the state its next step. A delta that does not fit is refused
// with an error that says why, and nothing has changed then. The state keeps
// the delta's rows; they must not change afterwards.
func (s *State) Apply(d *Delta) error {
	if err := s.check(d); err != nil {
		return fmt.Errorf("delta: %w", err)
	}
	s.commit(d)
	return nil
}

// Advance is Apply for a backend: it gives the delta that leads back, in case the
// kernel refuses, and whether the step may deny a flow that was allowed.
func (s *State) Advance(d *Delta) (back *Delta, mayDeny bool, err error) {
	if err := s.check(d); err != nil {
		return nil, false, fmt.Errorf("delta: %w", err)
	}
	back, mayDeny = s.inverse(d), s.MayDeny(d)
	s.commit(d)
	return back, mayDeny, nil
}

// commit applies a delta that fits.
func (s *State) commit(d *Delta) {
	for _, x := range d.AddDeciders {
		s.deciders[x.ID] = &deciderEntry{Decider: x}
	}
	for id, row := range d.AddRows {
		s.rows[id] = &rowEntry{row: row}
		s.countRegions(row, 1)
	}
	for _, id := range d.AddClasses {
		s.classes[id] = &classEntry{}
	}
	s.applyPrograms(d)
	for _, l := range d.SetLocals {
		s.unbind(s.locals[l.Addr])
		s.locals[l.Addr] = l
		s.bind(l)
	}
	for _, a := range d.DelLocals {
		s.unbind(s.locals[a])
		delete(s.locals, a)
	}
	s.applyHosts(d)
	s.applyPeers(d)
	for _, id := range d.DelPrograms {
		p := s.programs[id]
		s.rows[p.Base].refs--
		for class, row := range p.Cells {
			s.setCell(p, class, row, 0)
		}
		delete(s.programs, id)
	}
	for _, id := range d.DelClasses {
		delete(s.classes, id)
	}
	for _, id := range d.DelRows {
		s.countRegions(s.rows[id].row, -1)
		delete(s.rows, id)
	}
	for _, id := range d.DelDeciders {
		delete(s.deciders, id)
	}
}

func (s *State) applyPrograms(d *Delta) {
	for _, p := range d.SetPrograms {
		e := s.programs[p.ID]
		if e == nil {
			e = &programEntry{Program: Program{ID: p.ID, Cells: map[ClassID]RowID{}}}
			s.programs[p.ID] = e
		} else {
			s.rows[e.Base].refs--
		}
		e.Base = p.Base
		s.rows[p.Base].refs++
	}
	for _, c := range d.SetCells {
		p := s.programs[c.Program]
		s.setCell(p, c.Class, p.Cells[c.Class], c.Row)
	}
}

// setCell changes a cell and keeps count; 0 is no cell.
func (s *State) setCell(p *programEntry, class ClassID, old, row RowID) {
	if old != 0 {
		s.rows[old].refs--
		s.classes[class].cells--
		delete(p.Cells, class)
	}
	if row != 0 {
		s.rows[row].refs++
		s.classes[class].cells++
		p.Cells[class] = row
	}
}

func (s *State) applyPeers(d *Delta) {
	for a, class := range d.SetAddrs {
		if old, ok := s.addrClass(a); ok {
			s.classes[old].addrs[family(a)]--
		}
		s.classes[class].addrs[family(a)]++
		if a.Is4() {
			s.addrs4[a.As4()] = class
		} else {
			s.addrs6[a.As16()] = class
		}
	}
	for _, a := range d.DelAddrs {
		old, _ := s.addrClass(a)
		s.classes[old].addrs[family(a)]--
		if a.Is4() {
			delete(s.addrs4, a.As4())
		} else {
			delete(s.addrs6, a.As16())
		}
	}
	for p, class := range d.SetNets {
		if old, ok := s.nets.Get(p); ok {
			s.classes[old].nets[family(p.Addr())]--
		}
		s.classes[class].nets[family(p.Addr())]++
		s.nets.Insert(p, class)
	}
	for _, p := range d.DelNets {
		old, _ := s.nets.Get(p)
		s.classes[old].nets[family(p.Addr())]--
		s.nets.Delete(p)
	}
}

func (s *State) countRegions(row Row, n int) {
	for _, g := range row {
		if g.Decider != 0 {
			s.deciders[g.Decider].refs[allowIndex(g.Allow)] += n
		}
	}
}

func allowIndex(allow bool) int {
	if allow {
		return 1
	}
	return 0
}

// Program returns the program of a direction; 0 does not govern.
func (l Local) Program(dir policy.Direction) ProgramID {
	if dir == policy.Egress {
		return l.Egress
	}
	return l.Ingress
}

// programs returns all programs of a local address.
func (l Local) programs() [3]ProgramID { return [...]ProgramID{l.Egress, l.Ingress, l.ToNode} }

func (s *State) bind(l Local) {
	for _, dir := range policy.Directions {
		if id := l.Program(dir); id != 0 {
			p := s.programs[id]
			if p.locals[dir] == nil {
				p.locals[dir] = map[netip.Addr]struct{}{}
			}
			p.locals[dir][l.Addr] = struct{}{}
		}
	}
	s.countToNode(l, 1)
}

func (s *State) unbind(l Local) {
	for _, dir := range policy.Directions {
		if id := l.Program(dir); id != 0 {
			delete(s.programs[id].locals[dir], l.Addr)
		}
	}
	s.countToNode(l, -1)
}

// countToNode counts the addresses that a program is of towards their own node.
func (s *State) countToNode(l Local, n int) {
	p := s.programs[l.ToNode]
	if p == nil {
		return
	}
	if p.toNode[family(l.Addr)] += n; p.toNode == [2]int{} {
		delete(s.toNode, l.ToNode)
	} else {
		s.toNode[l.ToNode] = struct{}{}
	}
}

// Full returns the delta from no tables to this state.
func (s *State) Full() *Delta {
	d := &Delta{
		AddDeciders: s.Deciders(),
		AddRows:     map[RowID]Row{},
		AddClasses:  s.Classes(),
		SetAddrs:    make(map[netip.Addr]ClassID, len(s.addrs4)+len(s.addrs6)),
		SetNets:     maps.Collect(s.nets.All()),
	}
	for id, r := range s.rows {
		d.AddRows[id] = r.row
	}
	for _, id := range sortedKeys(s.programs) {
		p := s.programs[id]
		d.SetPrograms = append(d.SetPrograms, Program{ID: id, Base: p.Base})
		for _, class := range sortedKeys(p.Cells) {
			d.SetCells = append(d.SetCells, Cell{id, class, p.Cells[class]})
		}
	}
	d.SetLocals = s.Locals()
	d.SetHosts = s.Attachments()
	for a, c := range s.Addrs() {
		d.SetAddrs[a] = c
	}
	return d
}

// Equal reports whether two states are the same, IDs included.
func (s *State) Equal(o *State) bool {
	return s.String() == o.String()
}
