package tabletest

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// pools are the addresses that random tables and flows are made of, by family:
// few, so that things meet, and with both ends of the space among them.
var pools = func() (pools [2][]netip.Addr) {
	for _, list := range [][]string{
		{"0.0.0.0", "0.0.0.1", "10.255.255.255", "11.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.254", "255.255.255.255"},
		{"::", "::1", "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	} {
		for _, s := range list {
			a := netip.MustParseAddr(s)
			pools[fam(a)] = append(pools[fam(a)], a)
		}
	}
	for i := range byte(16) {
		pools[0] = append(pools[0], netip.AddrFrom4([4]byte{10, 0, 0, i}))
		pools[1] = append(pools[1], netip.AddrFrom16([16]byte{0: 0xfd, 15: i}))
	}
	return pools
}()

func fam(a netip.Addr) int { return policy.FamilyOf(a).Index() }

// Classes and programs get their family, and programs their direction, from
// their number.
func classFamily(id dataplane.ClassID) int { return int(id) % 2 }

func programKind(id dataplane.ProgramID) (policy.Direction, int) {
	return policy.Direction(id / 2 % 2), int(id % 2)
}

// First returns tables that hold nothing but a class for everyone in each family.
func First() *Model {
	m := (&Model{}).Clone()
	m.Deciders = map[dataplane.DeciderID]dataplane.Decider{}
	m.Rows = map[dataplane.RowID]dataplane.Row{}
	m.Programs = map[dataplane.ProgramID]dataplane.Program{}
	m.Locals = map[netip.Addr]dataplane.Local{}
	m.Classes = map[dataplane.ClassID]bool{2: true, 1: true}
	m.Addrs = map[netip.Addr]dataplane.ClassID{}
	m.Nets = map[netip.Prefix]dataplane.ClassID{dataplane.WholeFamilies[0]: 2, dataplane.WholeFamilies[1]: 1}
	m.nextID = 2
	return m
}

// Empty returns no tables at all: Empty().Step(m) is the first delta.
func Empty() *Model { return (&Model{}).Clone() }

// Next draws a step to other tables.
func (m *Model) Next(t *rapid.T) *Model {
	n := m.Clone()
	ops := []func(*rapid.T){
		n.setProgram, n.setProgram, n.setCell, n.setCell, n.setCell, n.delCell, n.delProgram,
		n.setLocal, n.setLocal, n.setLocal, n.delLocal, n.setAddr, n.setAddr, n.setAddr, n.delAddr,
		n.setNet, n.setNet, n.delNet, n.addClass, n.addClass, n.delClass, n.collect,
	}
	for range rapid.IntRange(1, 12).Draw(t, "ops") {
		rapid.SampledFrom(ops).Draw(t, "op")(t)
	}
	return n
}

func (m *Model) id() uint32 {
	m.nextID++
	return m.nextID
}

// pick draws one key of a map that a condition holds for; false if there is none.
func pick[K cmp.Ordered, V any](t *rapid.T, m map[K]V, ok func(K) bool) (K, bool) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(k K) bool { return ok != nil && !ok(k) })
	var zero K
	if len(keys) == 0 {
		return zero, false
	}
	return rapid.SampledFrom(keys).Draw(t, "key"), true
}

func pickFunc[K comparable, V any](t *rapid.T, m map[K]V, compare func(a, b K) int) (K, bool) {
	var zero K
	if len(m) == 0 {
		return zero, false
	}
	return rapid.SampledFrom(slices.SortedFunc(maps.Keys(m), compare)).Draw(t, "key"), true
}

// row draws a row, often one there is.
func (m *Model) row(t *rapid.T) dataplane.RowID {
	if id, ok := pick(t, m.Rows, nil); ok && rapid.Bool().Draw(t, "old row") {
		return id
	}
	id := dataplane.RowID(m.id())
	m.Rows[id] = drawRow(t, func() dataplane.DeciderID {
		if id, ok := pick(t, m.Deciders, nil); ok && rapid.IntRange(0, 3).Draw(t, "old decider") > 0 {
			return id
		}
		id := dataplane.DeciderID(m.id())
		d := dataplane.Decider{ID: id, By: policy.Decider{Tier: "t", Kind: "K", Name: "n", Rule: int(id)}}
		if rapid.IntRange(0, 3).Draw(t, "logs") == 0 {
			d.Logs = dataplane.LogsOf([]policy.Decider{{Tier: "t", Kind: "K", Name: "log", Rule: int(id)}, d.By})
		}
		m.Deciders[id] = d
		return id
	})
	return id
}

func (m *Model) setProgram(t *rapid.T) {
	id, ok := pick(t, m.Programs, nil)
	if !ok || rapid.Bool().Draw(t, "new") {
		id = dataplane.ProgramID(m.id())
		m.Programs[id] = dataplane.Program{ID: id, Cells: map[dataplane.ClassID]dataplane.RowID{}}
	}
	p := m.Programs[id]
	p.Base = m.row(t)
	maps.DeleteFunc(p.Cells, func(_ dataplane.ClassID, r dataplane.RowID) bool { return r == p.Base })
	m.Programs[id] = p
}

func (m *Model) setCell(t *rapid.T) {
	id, ok := pick(t, m.Programs, nil)
	if !ok {
		return
	}
	_, family := programKind(id)
	class, ok := pick(t, m.Classes, func(c dataplane.ClassID) bool { return classFamily(c) == family })
	if row := m.row(t); ok && row != m.Programs[id].Base {
		m.Programs[id].Cells[class] = row
	}
}

func (m *Model) delCell(t *rapid.T) {
	if id, ok := pick(t, m.Programs, nil); ok {
		if class, ok := pick(t, m.Programs[id].Cells, nil); ok {
			delete(m.Programs[id].Cells, class)
		}
	}
}

func (m *Model) delProgram(t *rapid.T) {
	id, ok := pick(t, m.Programs, nil)
	if !ok {
		return
	}
	delete(m.Programs, id)
	for a, l := range m.Locals {
		if l.Egress == id {
			l.Egress, l.ToNode = 0, 0
		}
		if l.Ingress == id {
			l.Ingress = 0
		}
		if l.ToNode == id {
			l.ToNode = 0
		}
		m.Locals[a] = l
	}
}

func drawAddr(t *rapid.T) netip.Addr {
	return rapid.SampledFrom(pools[rapid.IntRange(0, 1).Draw(t, "family")]).Draw(t, "addr")
}

func (m *Model) setLocal(t *rapid.T) {
	l := dataplane.Local{Addr: drawAddr(t)}
	for _, x := range []struct {
		dir policy.Direction
		to  *dataplane.ProgramID
	}{{policy.Egress, &l.Egress}, {policy.Ingress, &l.Ingress}, {policy.Egress, &l.ToNode}} {
		id, _ := pick(t, m.Programs, func(id dataplane.ProgramID) bool {
			d, f := programKind(id)
			return d == x.dir && f == fam(l.Addr)
		})
		if rapid.IntRange(0, 3).Draw(t, "none") > 0 {
			*x.to = id
		}
	}
	if l.Egress == 0 {
		l.ToNode = 0 // what does not govern elsewhere does not govern there
	}
	m.Locals[l.Addr] = l
}

func (m *Model) delLocal(t *rapid.T) {
	if a, ok := pickFunc(t, m.Locals, netip.Addr.Compare); ok {
		delete(m.Locals, a)
	}
}

func (m *Model) setAddr(t *rapid.T) {
	a := drawAddr(t)
	m.Addrs[a], _ = pick(t, m.Classes, func(c dataplane.ClassID) bool { return classFamily(c) == fam(a) })
}

func (m *Model) delAddr(t *rapid.T) {
	if a, ok := pickFunc(t, m.Addrs, netip.Addr.Compare); ok {
		delete(m.Addrs, a)
	}
}

func (m *Model) setNet(t *rapid.T) {
	a := drawAddr(t)
	p, _ := a.Prefix(rapid.IntRange(0, a.BitLen()-1).Draw(t, "bits"))
	m.Nets[p], _ = pick(t, m.Classes, func(c dataplane.ClassID) bool { return classFamily(c) == fam(a) })
}

func (m *Model) delNet(t *rapid.T) {
	if p, ok := pickFunc(t, m.Nets, netip.Prefix.Compare); ok && p.Bits() > 0 {
		delete(m.Nets, p)
	}
}

func (m *Model) addClass(*rapid.T) { m.Classes[dataplane.ClassID(m.id())] = true }

// delClass takes a class away, and whatever refers to it.
func (m *Model) delClass(t *rapid.T) {
	id, ok := pick(t, m.Classes, func(c dataplane.ClassID) bool {
		return m.Nets[dataplane.WholeFamilies[0]] != c && m.Nets[dataplane.WholeFamilies[1]] != c
	})
	if !ok {
		return
	}
	delete(m.Classes, id)
	maps.DeleteFunc(m.Addrs, func(_ netip.Addr, c dataplane.ClassID) bool { return c == id })
	maps.DeleteFunc(m.Nets, func(_ netip.Prefix, c dataplane.ClassID) bool { return c == id })
	for _, p := range m.Programs {
		delete(p.Cells, id)
	}
}

// collect takes the rows away that nothing refers to, then the deciders.
func (m *Model) collect(*rapid.T) {
	rows, deciders := map[dataplane.RowID]bool{}, map[dataplane.DeciderID]bool{}
	for _, p := range m.Programs {
		rows[p.Base] = true
		for _, row := range p.Cells {
			rows[row] = true
		}
	}
	maps.DeleteFunc(m.Rows, func(id dataplane.RowID, _ dataplane.Row) bool { return !rows[id] })
	for _, row := range m.Rows {
		for _, g := range row {
			deciders[g.Decider] = true
		}
	}
	maps.DeleteFunc(m.Deciders, func(id dataplane.DeciderID, _ dataplane.Decider) bool { return !deciders[id] })
}
