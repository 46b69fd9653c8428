// Package dataplane is the border between what policy means and what a kernel
// does: tables of classes, programs and rows, the delta from one state of them
// to the next, and the interface that backends implement. It knows nothing of
// policies, selectors or labels.
//
// A packet is decided by, for each direction, the local endpoint at that end
// (its program), the class of the peer's address, and the row that the program
// has for the class:
//
//	egress:  program = Locals[src].Egress,  class = class of dst
//	ingress: program = Locals[dst].Ingress, class = class of src
//	row      = program.Cells[class], or else program.Base
//	verdict  = the region of the row that holds protocol and ports
//
// What a local endpoint sends to the node that it is on is decided likewise, by
// program = Locals[src].ToNode.
//
// An address that is no local endpoint, or whose program for the direction is
// 0, has no say.
package dataplane

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// ClassID and the types beside it are identifiers of table entries. 0 is never
// used, except where it says "none".
type (
	ClassID uint32
	// RowID identifies a row.
	RowID uint32
	// ProgramID identifies a program.
	ProgramID uint32
	// DeciderID identifies a decider.
	DeciderID uint32
)

// Range is an inclusive range: of ports, ICMP types or ICMP codes.
type Range struct {
	First, Last uint16
}

// FullRange holds every value.
var FullRange = Range{0, 65535}

// Region is a box of layer 4 space with one verdict. A region of several
// protocols, or of a protocol without ports and types, has full ranges. For
// ICMP and ICMPv6, Dst is the type and Src the code: a range that holds all of
// them is the full range (0 to 65535) there as well, any other one ends at 255
// at most.
type Region struct {
	FirstProtocol, LastProtocol policy.Protocol
	Dst, Src                    Range
	Allow                       bool
	Decider                     DeciderID // 0: nothing governs, nothing to count
}

// Row is the verdict on every point of layer 4 space: disjoint regions that
// together hold all of it, sorted by protocol, Dst, Src. Rows are immutable;
// a changed row is a new row.
type Row []Region

// Program is what the policies of one direction say to a group of local
// endpoints, of one family.
type Program struct {
	ID    ProgramID
	Base  RowID             // for classes without a cell
	Cells map[ClassID]RowID // for classes whose row differs from Base
}

// Local is one address of a local endpoint. A program of 0 does not govern.
type Local struct {
	Addr            netip.Addr
	Interface       string // empty if unknown
	Egress, Ingress ProgramID
	ToNode          ProgramID // for what it sends to the node that it is on; a program of egress
}

// Decider is what a region's counter counts for.
type Decider struct {
	ID        DeciderID
	Direction policy.Direction
	By        policy.Decider
	// Logs are the rules with action Log that a connection met before: what one
	// rule decides with and without them are two deciders.
	Logs Logs
	// Skips is what it skips beside, where it allows at an early hook of a host.
	Skips Skips
}

// Cell is one entry of a program.
type Cell struct {
	Program ProgramID
	Class   ClassID
	Row     RowID // 0 in a delta: the cell goes away and Base answers
}

// Delta is the step from one state of the tables to the next. A backend
// applies all of it or nothing, in one atomic step. What a delta adds or sets
// refers only to what is there after it; what it deletes nothing refers to
// afterwards. Lists are sorted.
type Delta struct {
	AddDeciders []Decider
	DelDeciders []DeciderID

	AddRows map[RowID]Row
	DelRows []RowID

	// SetPrograms adds programs or changes the base of existing ones (Cells is
	// nil there: SetCells fills them).
	SetPrograms []Program
	DelPrograms []ProgramID // their cells go with them
	SetCells    []Cell

	SetLocals []Local // added, or changed at this address
	DelLocals []netip.Addr

	SetHosts []HostAttachment // added, or changed: see hosts.go
	DelHosts []AttachmentKey

	// The class of an address is, in this order: that of SetAddrs; that of the
	// longest prefix of SetNets that holds it. Prefixes of full length are in
	// SetAddrs. 0.0.0.0/0 and ::/0 always have a class.
	SetAddrs map[netip.Addr]ClassID
	DelAddrs []netip.Addr
	SetNets  map[netip.Prefix]ClassID
	DelNets  []netip.Prefix

	// Classes that exist only from now on, or no longer. A class is of one family.
	AddClasses []ClassID
	DelClasses []ClassID
}
