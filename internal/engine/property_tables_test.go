package engine_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// tables is the plainest memory of what deltas say, and a strict reader of them:
// it finds what contradicts the contract of dataplane.Delta, and entries that
// change nothing.
type tables struct {
	deciders    map[dataplane.DeciderID]dataplane.Decider
	rows        map[dataplane.RowID]dataplane.Row
	programs    map[dataplane.ProgramID]dataplane.RowID // to the base
	cells       map[cellKey]dataplane.RowID
	attachments map[dataplane.AttachmentKey]dataplane.HostAttachment
	locals      map[netip.Addr]dataplane.Local
	addrs       map[netip.Addr]dataplane.ClassID
	nets        map[netip.Prefix]dataplane.ClassID
	classes     map[dataplane.ClassID]bool

	state *dataplane.State // the same, as the backends keep it
}

type cellKey struct {
	program dataplane.ProgramID
	class   dataplane.ClassID
}

func newTables() *tables {
	return &tables{
		deciders:    map[dataplane.DeciderID]dataplane.Decider{},
		rows:        map[dataplane.RowID]dataplane.Row{},
		programs:    map[dataplane.ProgramID]dataplane.RowID{},
		cells:       map[cellKey]dataplane.RowID{},
		attachments: map[dataplane.AttachmentKey]dataplane.HostAttachment{}, locals: map[netip.Addr]dataplane.Local{},
		addrs:   map[netip.Addr]dataplane.ClassID{},
		nets:    map[netip.Prefix]dataplane.ClassID{},
		classes: map[dataplane.ClassID]bool{},
		state:   dataplane.NewState(),
	}
}

// apply takes a delta in and gives what is wrong with it; nil deltas are empty.
func (tb *tables) apply(d *dataplane.Delta) (problems []string) {
	if d == nil {
		return nil
	}
	p := &problems
	applyAll(p, "decider", tb.deciders, keyed(d.AddDeciders, func(e dataplane.Decider) dataplane.DeciderID { return e.ID }), d.DelDeciders, sameAs[dataplane.Decider], true)
	applyAll(p, "row", tb.rows, d.AddRows, d.DelRows, slices.Equal, true)
	classes := map[dataplane.ClassID]bool{}
	for _, c := range d.AddClasses {
		classes[c] = true
	}
	applyAll(p, "class", tb.classes, classes, d.DelClasses, sameAs[bool], true)
	bases := map[dataplane.ProgramID]dataplane.RowID{}
	for _, pr := range d.SetPrograms {
		if pr.Cells != nil {
			*p = append(*p, fmt.Sprintf("program %d comes with cells", pr.ID))
		}
		bases[pr.ID] = pr.Base
	}
	applyAll(p, "program", tb.programs, bases, d.DelPrograms, sameAs[dataplane.RowID], false)
	maps.DeleteFunc(tb.cells, func(k cellKey, _ dataplane.RowID) bool { return slices.Contains(d.DelPrograms, k.program) })
	cells, delCells := map[cellKey]dataplane.RowID{}, []cellKey(nil)
	for _, c := range d.SetCells {
		k := cellKey{c.Program, c.Class}
		if c.Row == 0 {
			delCells = append(delCells, k)
		} else {
			cells[k] = c.Row
		}
	}
	if len(cells)+len(delCells) != len(d.SetCells) {
		*p = append(*p, "a cell is set twice")
	}
	applyAll(p, "cell", tb.cells, cells, delCells, sameAs[dataplane.RowID], false)
	applyAll(p, "local", tb.locals, keyed(d.SetLocals, func(l dataplane.Local) netip.Addr { return l.Addr }), d.DelLocals, sameAs[dataplane.Local], false)
	applyAll(p, "attachment", tb.attachments, keyed(d.SetHosts, func(h dataplane.HostAttachment) dataplane.AttachmentKey { return h.AttachmentKey }), d.DelHosts, dataplane.HostAttachment.Equal, false)
	applyAll(p, "address", tb.addrs, d.SetAddrs, d.DelAddrs, sameAs[dataplane.ClassID], false)
	applyAll(p, "net", tb.nets, d.SetNets, d.DelNets, sameAs[dataplane.ClassID], false)
	tb.checkSorted(p, d)
	tb.check(p)
	if err := tb.state.Apply(d); err != nil {
		*p = append(*p, "dataplane.State: "+err.Error())
	}
	return problems
}

func sameAs[V comparable](a, b V) bool { return a == b }

func keyed[K comparable, V any](list []V, key func(V) K) map[K]V {
	m := make(map[K]V, len(list))
	for _, v := range list {
		m[key(v)] = v
	}
	return m
}

// applyAll brings one table to its next state. once says that entries never change.
func applyAll[K comparable, V any](problems *[]string, what string, table map[K]V, set map[K]V, del []K, same func(a, b V) bool, once bool) {
	for k, v := range set {
		old, had := table[k]
		switch {
		case had && once:
			*problems = append(*problems, fmt.Sprintf("%s %v added again", what, k))
		case had && same(old, v):
			*problems = append(*problems, fmt.Sprintf("%s %v set to what it was: %v", what, k, v))
		}
		table[k] = v
	}
	for _, k := range del {
		if _, had := table[k]; !had {
			*problems = append(*problems, fmt.Sprintf("%s %v deleted, but was not there", what, k))
		}
		if _, both := set[k]; both {
			*problems = append(*problems, fmt.Sprintf("%s %v both set and deleted", what, k))
		}
		delete(table, k)
	}
}

// check holds the tables against what dataplane promises of them.
func (tb *tables) check(problems *[]string) {
	wrong := func(format string, args ...any) { *problems = append(*problems, fmt.Sprintf(format, args...)) }
	usedRows, usedPrograms, usedClasses, usedDeciders := map[dataplane.RowID]bool{}, map[dataplane.ProgramID]bool{}, map[dataplane.ClassID]bool{}, map[dataplane.DeciderID]bool{}
	for id, base := range tb.programs {
		if usedRows[base] = true; tb.rows[base] == nil {
			wrong("program %d: base row %d is not there", id, base)
		}
	}
	for k, row := range tb.cells {
		usedRows[row] = true
		base, ok := tb.programs[k.program]
		switch {
		case !ok:
			wrong("cell %v: its program is not there", k)
		case base == row:
			wrong("cell %v: row %d is the program's base", k, row)
		case tb.rows[row] == nil:
			wrong("cell %v: row %d is not there", k, row)
		case !tb.classes[k.class]:
			wrong("cell %v: its class is not there", k)
		}
	}
	for addr, l := range tb.locals {
		for _, id := range []dataplane.ProgramID{l.Egress, l.Ingress, l.ToNode} {
			if usedPrograms[id] = true; id != 0 && tb.programs[id] == 0 {
				wrong("local %v: program %d is not there", addr, id)
			}
		}
	}
	for _, h := range tb.attachments {
		usedPrograms[h.Base] = true
		for _, x := range h.Programs {
			if usedPrograms[x.Program] = true; !tb.classes[x.Class] || tb.programs[x.Program] == 0 {
				wrong("attachment %v: class %d or program %d is not there", h.AttachmentKey, x.Class, x.Program)
			}
		}
	}
	for addr, c := range tb.addrs {
		if usedClasses[c] = true; !tb.classes[c] {
			wrong("address %v: class %d is not there", addr, c)
		}
	}
	for n, c := range tb.nets {
		if usedClasses[c] = true; !tb.classes[c] {
			wrong("net %v: class %d is not there", n, c)
		}
		if n != n.Masked() || n.IsSingleIP() {
			wrong("net %v is not a proper prefix", n)
		}
	}
	for id, row := range tb.rows {
		checkRow(wrong, id, row)
		for _, r := range row {
			if usedDeciders[r.Decider] = true; r.Decider != 0 && tb.deciders[r.Decider].ID == 0 {
				wrong("row %d: decider %d is not there", id, r.Decider)
			}
		}
		if !usedRows[id] {
			wrong("row %d is left over", id)
		}
	}
	for id := range tb.programs {
		if !usedPrograms[id] {
			wrong("program %d is left over", id)
		}
	}
	for id := range tb.classes {
		if !usedClasses[id] {
			wrong("class %d is left over", id)
		}
	}
	for id := range tb.deciders {
		if !usedDeciders[id] {
			wrong("decider %d is left over: %v", id, tb.deciders[id].By)
		}
	}
}

// checkRow demands that a row's regions are sorted, disjoint and hold all of layer 4 space.
func checkRow(wrong func(string, ...any), id dataplane.RowID, row dataplane.Row) {
	var volume uint64 // of 256 protocols, each 1 << 32
	for i, a := range row {
		full := uint64(65536) // of values in a dimension
		if a.FirstProtocol == a.LastProtocol && a.FirstProtocol.IsICMP() {
			full = 256
		}
		size := func(r dataplane.Range) uint64 { return min(uint64(r.Last), full-1) - uint64(r.First) + 1 }
		protocols := uint64(a.LastProtocol) - uint64(a.FirstProtocol) + 1
		volume += protocols * size(a.Dst) * size(a.Src) * (65536 / full) * (65536 / full)
		for _, b := range row[i+1:] {
			if a.FirstProtocol <= b.LastProtocol && b.FirstProtocol <= a.LastProtocol && meet(a.Dst, b.Dst) && meet(a.Src, b.Src) {
				wrong("row %d: %v and %v meet", id, a, b)
			}
		}
	}
	if volume != 256<<32 {
		wrong("row %d does not hold all of layer 4 space: %v", id, row)
	}
	if !slices.IsSortedFunc(row, compareRegions) {
		wrong("row %d is not sorted: %v", id, row)
	}
}

func meet(a, b dataplane.Range) bool { return a.First <= b.Last && b.First <= a.Last }

// mustApply applies a delta and ends the test if anything is wrong with it.
func (tb *tables) mustApply(t fataler, d *dataplane.Delta) {
	t.Helper()
	if problems := tb.apply(d); len(problems) > 0 {
		slices.Sort(problems)
		t.Fatalf("the delta is not as it should be:\n%s\n%+v", lines(problems), d)
	}
}

// decide says what the tables say of one end of a flow.
func (tb *tables) decide(f policy.Flow, dir policy.Direction) (allow bool, by *policy.Decider, logs dataplane.Logs) {
	self, peer := f.Src, f.Dst
	if dir == policy.Ingress {
		self, peer = peer, self
	}
	l := tb.locals[self]
	program := l.Egress
	if dir == policy.Ingress {
		program = l.Ingress
	}
	if program == 0 {
		return true, nil, ""
	}
	row, ok := tb.cells[cellKey{program, tb.classOf(peer)}]
	if !ok {
		row = tb.programs[program]
	}
	dst, src := f.DstPort, f.SrcPort
	if f.Protocol.IsICMP() {
		dst, src = uint16(f.ICMPType), uint16(f.ICMPCode)
	}
	for _, r := range tb.rows[row] {
		if r.FirstProtocol <= f.Protocol && f.Protocol <= r.LastProtocol && holds(r.Dst, dst) && holds(r.Src, src) {
			if r.Decider != 0 {
				decider := tb.deciders[r.Decider]
				by, logs = &decider.By, decider.Logs
			}
			return r.Allow, by, logs
		}
	}
	return false, nil, ""
}

func holds(r dataplane.Range, v uint16) bool { return r.First <= v && v <= r.Last }

// classOf returns the class of an address; 0 without any.
func (tb *tables) classOf(a netip.Addr) dataplane.ClassID {
	if c, ok := tb.addrs[a]; ok {
		return c
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		if n, err := a.Prefix(bits); err == nil {
			if c, ok := tb.nets[n]; ok {
				return c
			}
		}
	}
	return 0
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var _ fataler = (*testing.T)(nil)
