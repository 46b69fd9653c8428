package dataplane

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/policy"
)

// State is one state of the tables, in memory: the judge of every backend, and
// what a backend keeps to know what should be in force. It counts who refers to
// what, so that Apply checks a delta in time that depends on the delta only.
// The zero value is not ready; use NewState. It is not safe for concurrent use
// while Apply runs.
type State struct {
	deciders    map[DeciderID]*deciderEntry
	rows        map[RowID]*rowEntry
	programs    map[ProgramID]*programEntry
	classes     map[ClassID]*classEntry
	locals      map[netip.Addr]Local
	toNode      map[ProgramID]struct{} // programs towards the own node
	attachments map[AttachmentKey]HostAttachment

	// Addresses by family: a hundred thousand of them are cheap this way.
	addrs4 map[[4]byte]ClassID
	addrs6 map[[16]byte]ClassID
	nets   bart.Table[ClassID]
}

type deciderEntry struct {
	Decider
	refs [2]int // regions that refer to it: denying ones, allowing ones
}

type rowEntry struct {
	row  Row
	refs int // programs and cells
}

type programEntry struct {
	Program
	locals      [2]map[netip.Addr]struct{} // by direction
	attachments int                        // of host endpoints
	toNode      [2]int                     // local addresses that have it towards their own node, by family
}

type classEntry struct {
	addrs, nets [2]int // by family
	cells       int    // programs that have a cell for the class
}

func (e *classEntry) use(family int) int { return e.addrs[family] + e.nets[family] }

// ClassUse says how many entries put addresses into a class.
type ClassUse struct {
	Family      policy.Family // AnyFamily while there are none
	Addrs, Nets int
}

// NewState returns the state of no tables.
func NewState() *State {
	return &State{
		deciders:    map[DeciderID]*deciderEntry{},
		rows:        map[RowID]*rowEntry{},
		programs:    map[ProgramID]*programEntry{},
		classes:     map[ClassID]*classEntry{},
		locals:      map[netip.Addr]Local{},
		toNode:      map[ProgramID]struct{}{},
		attachments: map[AttachmentKey]HostAttachment{},
		addrs4:      map[[4]byte]ClassID{},
		addrs6:      map[[16]byte]ClassID{},
	}
}

func family(a netip.Addr) int { return policy.FamilyOf(a).Index() }

// addrClass returns the class that the address itself has, nets aside.
func (s *State) addrClass(a netip.Addr) (ClassID, bool) {
	if a.Is4() {
		c, ok := s.addrs4[a.As4()]
		return c, ok
	}
	c, ok := s.addrs6[a.As16()]
	return c, ok
}

// Class returns the class of an address; 0 before the first delta.
func (s *State) Class(a netip.Addr) ClassID {
	a = a.Unmap()
	if c, ok := s.addrClass(a); ok {
		return c
	}
	c, _ := s.nets.Lookup(a)
	return c
}

// Decide decides a flow by the tables. A local endpoint always reaches itself, and control
// traffic is not asked about.
func (s *State) Decide(f policy.Flow) (egress, ingress Verdict) {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	if f.Src == f.Dst || f.IsControlTraffic() {
		return Verdict{Allow: true}, Verdict{Allow: true}
	}
	return s.decide(s.locals[f.Src].Egress, f.Dst, f), s.decide(s.locals[f.Dst].Ingress, f.Src, f)
}

// DecideToNode decides what a local endpoint sends to the node that it is on.
func (s *State) DecideToNode(f policy.Flow) Verdict {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	if policy.HookInput.Exempts(f) {
		return Verdict{Allow: true}
	}
	return s.decide(s.locals[f.Src].ToNode, f.Dst, f)
}

// Allows reports whether both ends of a flow allow it.
func (s *State) Allows(f policy.Flow) bool {
	egress, ingress := s.Decide(f)
	return egress.Allow && ingress.Allow
}

func (s *State) decide(id ProgramID, peer netip.Addr, f policy.Flow) Verdict {
	if id == 0 {
		return Verdict{Allow: true}
	}
	p := s.programs[id]
	region, _ := s.rows[p.RowFor(s.Class(peer))].row.At(f)
	return Verdict{Governed: true, Allow: region.Allow, Decider: region.Decider}
}

// RowFor returns the row that the program has for a class.
func (p *Program) RowFor(c ClassID) RowID {
	if row, ok := p.Cells[c]; ok {
		return row
	}
	return p.Base
}

// Local returns the local endpoint's entry at an address.
func (s *State) Local(a netip.Addr) (Local, bool) {
	l, ok := s.locals[a]
	return l, ok
}

// Locals returns the entries of all local endpoints, sorted by address.
func (s *State) Locals() []Local {
	return slices.SortedFunc(maps.Values(s.locals), func(a, b Local) int { return a.Addr.Compare(b.Addr) })
}

// LocalsOf returns the addresses that a program governs in a direction, in no order.
func (s *State) LocalsOf(id ProgramID, dir policy.Direction) iter.Seq[netip.Addr] {
	if p := s.programs[id]; p != nil {
		return maps.Keys(p.locals[dir])
	}
	return func(func(netip.Addr) bool) {}
}

// ToNode reports whether a program is one that local endpoints have towards their own
// node, and of which family.
func (s *State) ToNode(id ProgramID) (policy.Family, bool) {
	switch p := s.programs[id]; {
	case p == nil:
	case p.toNode[0] > 0:
		return policy.IPv4, true
	case p.toNode[1] > 0:
		return policy.IPv6, true
	}
	return policy.AnyFamily, false
}

// ToNodePrograms returns the programs that local endpoints have towards their own node,
// in no order.
func (s *State) ToNodePrograms() iter.Seq[ProgramID] { return maps.Keys(s.toNode) }

// Program returns a program; nil if there is none. It must not be changed.
func (s *State) Program(id ProgramID) *Program {
	if p := s.programs[id]; p != nil {
		return &p.Program
	}
	return nil
}

// Programs returns all programs, in no order. They must not be changed.
func (s *State) Programs() iter.Seq[*Program] {
	return func(yield func(*Program) bool) {
		for _, p := range s.programs {
			if !yield(&p.Program) {
				return
			}
		}
	}
}

// Row returns a row; nil if there is none.
func (s *State) Row(id RowID) Row {
	if r := s.rows[id]; r != nil {
		return r.row
	}
	return nil
}

// Rows returns all rows, in no order.
func (s *State) Rows() iter.Seq2[RowID, Row] {
	return func(yield func(RowID, Row) bool) {
		for id, r := range s.rows {
			if !yield(id, r.row) {
				return
			}
		}
	}
}

// Decider returns a decider, and how many regions refer to it, denying and allowing.
func (s *State) Decider(id DeciderID) (d Decider, denying, allowing int, ok bool) {
	e := s.deciders[id]
	if e == nil {
		return Decider{}, 0, 0, false
	}
	return e.Decider, e.refs[0], e.refs[1], true
}

// Deciders returns all deciders, sorted by ID.
func (s *State) Deciders() []Decider {
	out := make([]Decider, 0, len(s.deciders))
	for _, id := range slices.Sorted(maps.Keys(s.deciders)) {
		out = append(out, s.deciders[id].Decider)
	}
	return out
}

// ClassUse says who is in a class.
func (s *State) ClassUse(id ClassID) ClassUse {
	e := s.classes[id]
	switch {
	case e == nil:
		return ClassUse{}
	case e.use(0) > 0:
		return ClassUse{policy.IPv4, e.addrs[0], e.nets[0]}
	case e.use(1) > 0:
		return ClassUse{policy.IPv6, e.addrs[1], e.nets[1]}
	}
	return ClassUse{}
}

// Classes returns all classes, sorted.
func (s *State) Classes() []ClassID { return slices.Sorted(maps.Keys(s.classes)) }

// AddrClass returns the class of an address that has one of its own, nets aside.
func (s *State) AddrClass(a netip.Addr) (ClassID, bool) { return s.addrClass(a.Unmap()) }

// Addrs returns the addresses that have a class of their own, in no order.
func (s *State) Addrs() iter.Seq2[netip.Addr, ClassID] {
	return func(yield func(netip.Addr, ClassID) bool) {
		for a, c := range s.addrs4 {
			if !yield(netip.AddrFrom4(a), c) {
				return
			}
		}
		for a, c := range s.addrs6 {
			if !yield(netip.AddrFrom16(a), c) {
				return
			}
		}
	}
}

// Nets returns the prefixes and their classes: IPv4 before IPv6, sorted by address
// and length.
func (s *State) Nets() iter.Seq2[netip.Prefix, ClassID] { return s.nets.AllSorted() }

// NetsIn returns the prefixes inside of p, itself included, sorted.
func (s *State) NetsIn(p netip.Prefix) iter.Seq2[netip.Prefix, ClassID] { return s.nets.Subnets(p) }

// NetClassOf returns the class that the nets give to a prefix as a whole, longer
// prefixes inside of it aside.
func (s *State) NetClassOf(p netip.Prefix) ClassID {
	c, _ := s.nets.LookupPrefix(p)
	return c
}

// NetClass returns the class of exactly this prefix.
func (s *State) NetClass(p netip.Prefix) (ClassID, bool) { return s.nets.Get(p) }
