package analyze

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// tables are the engine's tables with what each row allows as a number, so that
// pairs are looked up in arrays.
type tables struct {
	grants    interner[Grant]  // what rows allow, and what pairs do
	inter     map[uint64]int32 // of two sets, by both numbers
	preFilter preFilterTables  // what rows before the last hook of a host say
	programs  []program        // 0 is "none": it allows all
	cells     [][]cell         // by class: the programs that do not answer it as their base
	classes   map[dataplane.ClassID]int32
	locals    map[netip.Addr]dataplane.Local
	byID      map[dataplane.ProgramID]int32
	addrs     map[netip.Addr]dataplane.ClassID
	nets      map[netip.Prefix]dataplane.ClassID
}

// nothing and everything are the numbers of two sets.
const nothing, everything = 0, 1

// program is what the policies of one direction say to some endpoints.
type program struct {
	base    int32  // the set that it allows to classes without a cell; a row before the filter's number
	cells   []cell // its other is a class
	splitAt uint16 // an ephemeral port that some row treats differently; 0: none
}

// cell is a set allowed where a program and a class meet.
type cell struct {
	other, set int32
}

// newTables reads the first delta of an engine.
func newTables(d *dataplane.Delta, http *httpRules) *tables {
	t := &tables{
		grants:  newGrants(),
		inter:   map[uint64]int32{},
		classes: make(map[dataplane.ClassID]int32, len(d.AddClasses)),
		locals:  make(map[netip.Addr]dataplane.Local, len(d.SetLocals)),
		byID:    make(map[dataplane.ProgramID]int32, len(d.SetPrograms)),
		addrs:   d.SetAddrs,
		nets:    d.SetNets,
	}
	t.number(Grant{})
	t.number(everythingAllowed())
	deciders := newDeciders(d.AddDeciders, http)
	t.preFilter = newPreFilterTables(d, deciders)
	rows := make(map[dataplane.RowID]int32, len(d.AddRows))
	splits := map[dataplane.RowID]uint16{}
	for _, id := range slices.Sorted(maps.Keys(d.AddRows)) {
		row := d.AddRows[id]
		rows[id] = t.number(deciders.allowedBy(row, lowestEphemeral))
		same := func(port uint16) bool { return deciders.allowedBy(row, port).Equal(t.grants.values[rows[id]]) }
		if n, preFilter := t.preFilter.rows[id]; preFilter { // there what passes is not what is allowed
			same = func(port uint16) bool {
				r := deciders.preFilter(row, port)
				return r.equal(&t.preFilter.list[n])
			}
		}
		if port := splitAt(row, same); port != 0 {
			splits[id] = port
		}
	}
	for i, id := range d.AddClasses {
		t.classes[id] = int32(i)
	}
	t.programs = append(t.programs, program{base: everything})
	number := func(p dataplane.ProgramID, row dataplane.RowID) int32 {
		if t.preFilter.programs[p] {
			return t.preFilter.rows[row]
		}
		return rows[row]
	}
	for _, p := range d.SetPrograms {
		t.byID[p.ID] = int32(len(t.programs))
		t.programs = append(t.programs, program{base: number(p.ID, p.Base), splitAt: splits[p.Base]})
	}
	t.cells = make([][]cell, len(d.AddClasses))
	for _, c := range d.SetCells {
		p, class, set := t.byID[c.Program], t.classes[c.Class], number(c.Program, c.Row)
		t.programs[p].splitAt = lowerSplit(t.programs[p].splitAt, splits[c.Row])
		if set != t.programs[p].base {
			t.programs[p].cells = append(t.programs[p].cells, cell{class, set})
			t.cells[class] = append(t.cells[class], cell{p, set})
		}
	}
	for _, l := range d.SetLocals {
		t.locals[l.Addr] = l
	}
	return t
}

// lowerSplit returns the lower of two ports, where 0 is none.
func lowerSplit(a, b uint16) uint16 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// splitAt returns the lowest ephemeral port that some row treats differently; 0 if none does.
func (t *tables) splitAt() uint16 {
	var port uint16
	for i := range t.programs {
		port = lowerSplit(port, t.programs[i].splitAt)
	}
	return port
}

// alike reports whether every program says the same to two classes.
func (t *tables) alike(a, b int32) bool {
	x, y := make([]int32, len(t.programs)), make([]int32, len(t.programs))
	t.askers(a, x)
	t.askers(b, y)
	return slices.Equal(x, y)
}

// number returns the number of a set.
func (t *tables) number(s Grant) int32 { return t.grants.number(s) }

// both returns the number of what two sets have in common.
func (t *tables) both(a, b int32) int32 {
	switch {
	case a == b || b == everything:
		return a
	case a == everything:
		return b
	case a == nothing || b == nothing:
		return nothing
	}
	k := uint64(min(a, b))<<32 | uint64(max(a, b))
	n, ok := t.inter[k]
	if !ok {
		n = t.number(both(&t.grants.values[a], &t.grants.values[b]))
		t.inter[k] = n
	}
	return n
}

// answers fills in what a program allows, by class.
func (t *tables) answers(p int32, byClass []int32) {
	for i := range byClass {
		byClass[i] = t.programs[p].base
	}
	for _, c := range t.programs[p].cells {
		byClass[c.other] = c.set
	}
}

// askers fills in what a class is allowed, by program.
func (t *tables) askers(class int32, byProgram []int32) {
	for i := range byProgram {
		byProgram[i] = t.programs[i].base
	}
	for _, c := range t.cells[class] {
		byProgram[c.other] = c.set
	}
}
