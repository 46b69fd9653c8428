package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// after is a delta seen against the state that it is for: what will be there
// once it is applied, and how the counts of references change.
type after struct {
	*State
	d *Delta

	addDeciders map[DeciderID]bool
	delDeciders map[DeciderID]bool
	delRows     map[RowID]bool
	setPrograms map[ProgramID]Program
	delPrograms map[ProgramID]bool
	addClasses  map[ClassID]bool
	delClasses  map[ClassID]bool
	setCells    map[Cell]RowID // keyed with Row 0

	deciderRefs   map[DeciderID]int
	rowRefs       map[RowID]int
	classUse      map[ClassID][2]int
	classCells    map[ClassID]int
	programUse    map[ProgramID][2][2]int // direction, family
	attachmentUse map[ProgramID]int
}

// check reports why a delta does not fit the state.
func (s *State) check(d *Delta) error {
	if err := d.checkOrder(); err != nil {
		return err
	}
	a := &after{
		State: s, d: d,
		addDeciders: map[DeciderID]bool{}, delDeciders: setOf(d.DelDeciders), delRows: setOf(d.DelRows),
		setPrograms: map[ProgramID]Program{}, delPrograms: setOf(d.DelPrograms),
		addClasses: setOf(d.AddClasses), delClasses: setOf(d.DelClasses), setCells: map[Cell]RowID{},
		deciderRefs: map[DeciderID]int{}, rowRefs: map[RowID]int{}, classUse: map[ClassID][2]int{},
		classCells: map[ClassID]int{}, programUse: map[ProgramID][2][2]int{}, attachmentUse: map[ProgramID]int{},
	}
	for _, x := range d.AddDeciders {
		a.addDeciders[x.ID] = true
	}
	for _, p := range d.SetPrograms {
		a.setPrograms[p.ID] = p
	}
	for _, step := range []func() error{
		a.ids, a.rowRegions, a.programBases, a.cells, a.localEntries, a.hosts, a.addresses, a.prefixes, a.unreferenced, a.bases,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// checkOrder reports a list that is not sorted, or holds something twice.
func (d *Delta) checkOrder() error {
	return errors.Join(
		sorted("AddDeciders", d.AddDeciders, func(x, y Decider) int { return cmp.Compare(x.ID, y.ID) }),
		sorted("DelDeciders", d.DelDeciders, cmp.Compare[DeciderID]),
		sorted("DelRows", d.DelRows, cmp.Compare[RowID]),
		sorted("SetPrograms", d.SetPrograms, comparePrograms),
		sorted("DelPrograms", d.DelPrograms, cmp.Compare[ProgramID]),
		sorted("SetCells", d.SetCells, compareCells),
		sorted("SetLocals", d.SetLocals, compareLocals),
		sorted("DelLocals", d.DelLocals, netip.Addr.Compare),
		sorted("SetHosts", d.SetHosts, compareAttachments),
		sorted("DelHosts", d.DelHosts, AttachmentKey.Compare),
		sorted("DelAddrs", d.DelAddrs, netip.Addr.Compare),
		sorted("DelNets", d.DelNets, netip.Prefix.Compare),
		sorted("AddClasses", d.AddClasses, cmp.Compare[ClassID]),
		sorted("DelClasses", d.DelClasses, cmp.Compare[ClassID]),
	)
}

func comparePrograms(a, b Program) int { return cmp.Compare(a.ID, b.ID) }

func compareLocals(a, b Local) int { return a.Addr.Compare(b.Addr) }

func compareCells(a, b Cell) int {
	return cmp.Or(cmp.Compare(a.Program, b.Program), cmp.Compare(a.Class, b.Class))
}

func sorted[T any](name string, list []T, compare func(a, b T) int) error {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return fmt.Errorf("%s[%d] is not sorted behind the one before it", name, i)
		}
	}
	return nil
}

// ids checks that what is added is new, and what is deleted is there.
func (a *after) ids() error {
	return errors.Join(
		addDel("decider", maps.Keys(a.addDeciders), slices.Values(a.d.DelDeciders), a.deciders),
		addDel("row", maps.Keys(a.d.AddRows), slices.Values(a.d.DelRows), a.rows),
		addDel("class", slices.Values(a.d.AddClasses), slices.Values(a.d.DelClasses), a.classes),
		addDel("program", maps.Keys(map[ProgramID]bool{}), slices.Values(a.d.DelPrograms), a.programs),
		addDel("local", maps.Keys(map[netip.Addr]bool{}), slices.Values(a.d.DelLocals), a.locals),
	)
}

func (a *after) rowRegions() error {
	for _, id := range sortedKeys(a.d.AddRows) {
		row := a.d.AddRows[id]
		if err := row.Check(); err != nil {
			return fmt.Errorf("row %d: %w", id, err)
		}
		for _, g := range row {
			if g.Decider != 0 && !(a.addDeciders[g.Decider] || a.deciders[g.Decider] != nil && !a.delDeciders[g.Decider]) {
				return fmt.Errorf("row %d: %v: there is no decider %d", id, g, g.Decider)
			}
			a.deciderRefs[g.Decider]++
		}
	}
	for id := range a.delRows {
		for _, g := range a.rows[id].row {
			a.deciderRefs[g.Decider]--
		}
	}
	return nil
}

func (a *after) hasRow(id RowID) bool {
	_, added := a.d.AddRows[id]
	return added || a.rows[id] != nil && !a.delRows[id]
}

func (a *after) hasClass(id ClassID) bool {
	return a.addClasses[id] || a.classes[id] != nil && !a.delClasses[id]
}

func (a *after) hasProgram(id ProgramID) bool {
	_, set := a.setPrograms[id]
	return set || a.programs[id] != nil && !a.delPrograms[id]
}

func (a *after) programBases() error {
	for id, p := range a.setPrograms {
		switch {
		case id == 0:
			return errors.New("program 0 does not exist")
		case a.delPrograms[id]:
			return fmt.Errorf("program %d is set and deleted", id)
		case p.Cells != nil:
			return fmt.Errorf("program %d: cells are set by SetCells", id)
		case !a.hasRow(p.Base):
			return fmt.Errorf("program %d: there is no row %d for its base", id, p.Base)
		}
		a.rowRefs[p.Base]++
		if old := a.programs[id]; old != nil {
			a.rowRefs[old.Base]--
		}
	}
	for id := range a.delPrograms {
		p := a.programs[id]
		a.rowRefs[p.Base]--
		for class, row := range p.Cells {
			a.rowRefs[row]--
			a.classCells[class]--
		}
	}
	return nil
}

func (a *after) cells() error {
	for _, c := range a.d.SetCells {
		var old RowID
		if p := a.programs[c.Program]; p != nil {
			old = p.Cells[c.Class]
		}
		switch {
		case !a.hasProgram(c.Program):
			return fmt.Errorf("cell %d/%d: there is no such program", c.Program, c.Class)
		case c.Row == 0 && old == 0:
			return fmt.Errorf("cell %d/%d: deleted, but there is none", c.Program, c.Class)
		case c.Row != 0 && !a.hasClass(c.Class):
			return fmt.Errorf("cell %d/%d: there is no such class", c.Program, c.Class)
		case c.Row != 0 && !a.hasRow(c.Row):
			return fmt.Errorf("cell %d/%d: there is no row %d", c.Program, c.Class, c.Row)
		case c.Row != 0 && c.Row == a.base(c.Program):
			return fmt.Errorf("cell %d/%d: row %d is the program's base, so it needs no cell", c.Program, c.Class, c.Row)
		}
		a.setCells[Cell{Program: c.Program, Class: c.Class}] = c.Row
		if old != 0 {
			a.rowRefs[old]--
			a.classCells[c.Class]--
		}
		if c.Row != 0 {
			a.rowRefs[c.Row]++
			a.classCells[c.Class]++
		}
	}
	return nil
}

func (a *after) base(id ProgramID) RowID {
	if p, ok := a.setPrograms[id]; ok {
		return p.Base
	}
	return a.programs[id].Base
}

// bases checks that a program's new base is not the row of one of its old cells.
func (a *after) bases() error {
	for id, p := range a.setPrograms {
		old := a.programs[id]
		if old == nil || old.Base == p.Base {
			continue
		}
		for class, row := range old.Cells {
			if _, set := a.setCells[Cell{Program: id, Class: class}]; !set && row == p.Base {
				return fmt.Errorf("cell %d/%d: row %d is the program's base now, so it needs no cell", id, class, row)
			}
		}
	}
	return nil
}

func (a *after) localEntries() error {
	count := func(l Local, n int) {
		for i, id := range l.programs() {
			if id != 0 {
				use := a.programUse[id]
				use[i%2][family(l.Addr)] += n // egress, ingress, and egress to the own node
				a.programUse[id] = use
			}
		}
	}
	for _, l := range a.d.SetLocals {
		if err := checkAddr(l.Addr); err != nil {
			return fmt.Errorf("local %v: %w", l.Addr, err)
		}
		for _, id := range l.programs() {
			if id != 0 && !a.hasProgram(id) {
				return fmt.Errorf("local %v: there is no program %d", l.Addr, id)
			}
		}
		if _, del := slices.BinarySearchFunc(a.d.DelLocals, l.Addr, netip.Addr.Compare); del {
			return fmt.Errorf("local %v is set and deleted", l.Addr)
		}
		count(l, 1)
		count(a.locals[l.Addr], -1)
	}
	for _, addr := range a.d.DelLocals {
		count(a.locals[addr], -1)
	}
	return nil
}
