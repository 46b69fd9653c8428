package dataplane

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// MayDeny reports whether a delta, applied to this state, may deny a flow that
// the state allows. It never says no wrongly; that the flow may not exist is
// not its concern. It must be called before the delta is applied, with one that
// fits.
func (s *State) MayDeny(d *Delta) bool {
	n := &next{State: s, d: d, bases: map[ProgramID]RowID{}, cells: map[ProgramID]map[ClassID]RowID{}, memo: map[[2]RowID]bool{}, gone: setOf(d.DelNets)}
	for _, p := range d.SetPrograms {
		n.bases[p.ID] = p.Base
	}
	for _, c := range d.SetCells {
		if n.cells[c.Program] == nil {
			n.cells[c.Program] = map[ClassID]RowID{}
		}
		n.cells[c.Program][c.Class] = c.Row
	}
	return n.programs() || n.locals() || n.hosts() || n.addresses()
}

// next is a state with a delta over it.
type next struct {
	*State
	d     *Delta
	bases map[ProgramID]RowID
	cells map[ProgramID]map[ClassID]RowID // 0: goes away
	memo  map[[2]RowID]bool
	gone  map[netip.Prefix]bool
}

func (n *next) base(id ProgramID) RowID {
	if row, ok := n.bases[id]; ok {
		return row
	}
	return n.State.programs[id].Base
}

// row returns the row that a program will have for a class.
func (n *next) row(id ProgramID, class ClassID) RowID {
	row, ok := n.cells[id][class]
	if !ok && n.State.programs[id] != nil {
		row = n.State.programs[id].Cells[class]
	}
	if row == 0 {
		row = n.base(id)
	}
	return row
}

// classes returns the classes for which a program has, had or gets a row of its own.
func (n *next) classes(id ProgramID) map[ClassID]struct{} {
	set := map[ClassID]struct{}{}
	if p := n.State.programs[id]; p != nil {
		for class := range p.Cells {
			set[class] = struct{}{}
		}
	}
	for class := range n.cells[id] {
		set[class] = struct{}{}
	}
	return set
}

// tightens reports whether the new row denies something that the old one allows.
// Row 0 is that of an endpoint that is not governed.
func (n *next) tightens(old, row RowID) bool {
	if old == row || row == 0 {
		return false
	}
	key := [2]RowID{old, row}
	tighter, known := n.memo[key]
	if !known {
		was := Row{{LastProtocol: 255, Dst: FullRange, Src: FullRange, Allow: true}}
		if old != 0 {
			was = n.State.rows[old].row
		}
		is, added := n.d.AddRows[row]
		if !added {
			is = n.State.rows[row].row
		}
		tighter = is.deniesSomeOf(was)
		n.memo[key] = tighter
	}
	return tighter
}

// programs looks at programs whose base or cells change, as far as they govern.
func (n *next) programs() bool {
	governs := func(id ProgramID) bool {
		p := n.State.programs[id]
		return p != nil && p.governs()
	}
	for _, p := range n.d.SetPrograms {
		if governs(p.ID) && n.tightens(n.State.programs[p.ID].Base, p.Base) {
			return true
		}
	}
	for _, c := range n.d.SetCells {
		if governs(c.Program) && n.tightens(n.State.programs[c.Program].RowFor(c.Class), n.row(c.Program, c.Class)) {
			return true
		}
	}
	return false
}

// locals looks at local endpoints that come or get another program.
func (n *next) locals() bool {
	for _, l := range n.d.SetLocals {
		old := n.State.locals[l.Addr].programs()
		for i, is := range l.programs() {
			was := old[i]
			if was == is || is == 0 {
				continue
			}
			oldRow := func(ClassID) RowID { return 0 }
			classes := n.classes(is)
			if was != 0 {
				oldRow = n.State.programs[was].RowFor
				for class := range n.State.programs[was].Cells {
					classes[class] = struct{}{}
				}
			}
			classes[0] = struct{}{} // one without a cell
			for class := range classes {
				if n.tightens(oldRow(class), n.row(is, class)) {
					return true
				}
			}
		}
	}
	return false
}

// addresses looks at addresses and nets that move from one class to another.
func (n *next) addresses() bool {
	moves := map[[2]ClassID]struct{}{}
	for a, class := range n.d.SetAddrs {
		moves[[2]ClassID{n.Class(a), class}] = struct{}{}
	}
	for _, a := range n.d.DelAddrs {
		moves[[2]ClassID{n.Class(a), n.netClass(netip.PrefixFrom(a, a.BitLen()))}] = struct{}{}
	}
	for p, class := range n.d.SetNets {
		moves[[2]ClassID{n.NetClassOf(p), class}] = struct{}{}
	}
	for _, p := range n.d.DelNets {
		moves[[2]ClassID{n.NetClassOf(p), n.netClass(p)}] = struct{}{}
	}
	for m := range moves {
		if m[0] == m[1] {
			continue
		}
		for id, p := range n.State.programs {
			if p.governs() && n.hasProgram(id) &&
				n.tightens(p.RowFor(m[0]), n.row(id, m[1])) {
				return true
			}
		}
	}
	return false
}

func (n *next) hasProgram(id ProgramID) bool {
	for _, gone := range n.d.DelPrograms {
		if gone == id {
			return false
		}
	}
	return true
}

// netClass returns the class that the nets will give to a prefix that has none of its own.
func (n *next) netClass(p netip.Prefix) ClassID {
	for bits := p.Bits(); bits >= 0; bits-- {
		wider := netip.PrefixFrom(p.Addr(), bits).Masked()
		if class, ok := n.d.SetNets[wider]; ok {
			return class
		}
		if class, ok := n.nets.Get(wider); ok && !n.gone[wider] {
			return class
		}
	}
	return 0
}

// governs reports whether anything refers to the program.
func (p *programEntry) governs() bool {
	return len(p.locals[policy.Egress])+len(p.locals[policy.Ingress])+p.attachments+p.toNode[0]+p.toNode[1] > 0
}
