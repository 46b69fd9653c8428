// Package tabletest makes random tables and random steps between them, for the
// tests of whatever holds tables. Its Model is as plain as can be, and judges.
package tabletest

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Model is one state of the tables as plain maps.
type Model struct {
	Deciders map[dataplane.DeciderID]dataplane.Decider
	Rows     map[dataplane.RowID]dataplane.Row
	Programs map[dataplane.ProgramID]dataplane.Program
	Locals   map[netip.Addr]dataplane.Local
	Classes  map[dataplane.ClassID]bool
	Addrs    map[netip.Addr]dataplane.ClassID
	Nets     map[netip.Prefix]dataplane.ClassID
	nextID   uint32
}

// Clone copies the model.
func (m *Model) Clone() *Model {
	c := &Model{
		Deciders: maps.Clone(m.Deciders), Rows: maps.Clone(m.Rows), Programs: maps.Clone(m.Programs),
		Locals: maps.Clone(m.Locals), Classes: maps.Clone(m.Classes), Addrs: maps.Clone(m.Addrs),
		Nets: maps.Clone(m.Nets), nextID: m.nextID,
	}
	for id, p := range c.Programs {
		p.Cells = maps.Clone(p.Cells)
		c.Programs[id] = p
	}
	return c
}

// Class returns the class of an address.
func (m *Model) Class(a netip.Addr) dataplane.ClassID {
	if c, ok := m.Addrs[a]; ok {
		return c
	}
	best := netip.Prefix{}
	for p := range m.Nets {
		if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
			best = p
		}
	}
	return m.Nets[best]
}

// Decide decides a flow.
func (m *Model) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) {
	if f.Src == f.Dst {
		return dataplane.Verdict{Allow: true}, dataplane.Verdict{Allow: true}
	}
	return m.decide(m.Locals[f.Src].Egress, f.Dst, f), m.decide(m.Locals[f.Dst].Ingress, f.Src, f)
}

// DecideToNode decides what a local endpoint sends to its own node.
func (m *Model) DecideToNode(f policy.Flow) dataplane.Verdict {
	return m.decide(m.Locals[f.Src].ToNode, f.Dst, f)
}

func (m *Model) decide(id dataplane.ProgramID, peer netip.Addr, f policy.Flow) dataplane.Verdict {
	if id == 0 {
		return dataplane.Verdict{Allow: true}
	}
	p := m.Programs[id]
	row := m.Rows[p.RowFor(m.Class(peer))]
	dst, src := dataplane.Point(f)
	for _, g := range row {
		if g.FirstProtocol <= f.Protocol && f.Protocol <= g.LastProtocol && g.Dst.Contains(dst) && g.Src.Contains(src) {
			return dataplane.Verdict{Governed: true, Allow: g.Allow, Decider: g.Decider}
		}
	}
	panic("a row is not complete")
}

// Step returns the delta from m to next.
func (m *Model) Step(next *Model) *dataplane.Delta {
	d := &dataplane.Delta{
		AddRows:  map[dataplane.RowID]dataplane.Row{},
		SetAddrs: map[netip.Addr]dataplane.ClassID{},
		SetNets:  map[netip.Prefix]dataplane.ClassID{},
	}
	d.DelDeciders = gone(m.Deciders, next.Deciders, cmp.Compare[dataplane.DeciderID])
	for _, id := range gone(next.Deciders, m.Deciders, cmp.Compare[dataplane.DeciderID]) {
		d.AddDeciders = append(d.AddDeciders, next.Deciders[id])
	}
	d.DelRows = gone(m.Rows, next.Rows, cmp.Compare[dataplane.RowID])
	for _, id := range gone(next.Rows, m.Rows, cmp.Compare[dataplane.RowID]) {
		d.AddRows[id] = next.Rows[id]
	}
	d.AddClasses = gone(next.Classes, m.Classes, cmp.Compare[dataplane.ClassID])
	d.DelClasses = gone(m.Classes, next.Classes, cmp.Compare[dataplane.ClassID])
	d.DelPrograms = gone(m.Programs, next.Programs, cmp.Compare[dataplane.ProgramID])
	for _, id := range slices.Sorted(maps.Keys(next.Programs)) {
		p, old := next.Programs[id], m.Programs[id]
		if p.Base != old.Base {
			d.SetPrograms = append(d.SetPrograms, dataplane.Program{ID: id, Base: p.Base})
		}
		both := maps.Clone(old.Cells)
		if both == nil {
			both = map[dataplane.ClassID]dataplane.RowID{}
		}
		maps.Copy(both, p.Cells)
		for _, class := range slices.Sorted(maps.Keys(both)) {
			if p.Cells[class] != old.Cells[class] {
				d.SetCells = append(d.SetCells, dataplane.Cell{Program: id, Class: class, Row: p.Cells[class]})
			}
		}
	}
	d.DelLocals = gone(m.Locals, next.Locals, netip.Addr.Compare)
	for _, a := range slices.SortedFunc(maps.Keys(next.Locals), netip.Addr.Compare) {
		if m.Locals[a] != next.Locals[a] {
			d.SetLocals = append(d.SetLocals, next.Locals[a])
		}
	}
	d.DelAddrs = gone(m.Addrs, next.Addrs, netip.Addr.Compare)
	for a, c := range next.Addrs {
		if m.Addrs[a] != c {
			d.SetAddrs[a] = c
		}
	}
	d.DelNets = gone(m.Nets, next.Nets, netip.Prefix.Compare)
	for p, c := range next.Nets {
		if m.Nets[p] != c {
			d.SetNets[p] = c
		}
	}
	return d
}

// gone returns the keys of was that is does not have, sorted.
func gone[K comparable, V any](was, is map[K]V, compare func(a, b K) int) []K {
	var keys []K
	for k := range was {
		if _, ok := is[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compare)
	return keys
}
