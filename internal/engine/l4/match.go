// Package l4 decides layer 4: protocols, ports, ICMP types and codes. It turns a list
// of rules, in the order in which they are asked, into a row of disjoint regions.
// What a rule demands of addresses is no matter of this package: its callers leave
// out the rules that do not match the peer.
package l4

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Rule is what a rule demands of layer 4, and what it does then. Rules are
// comparable, and those that are equal say the same.
type Rule struct {
	Match
	Action policy.Action
	By     policy.Decider // zero: allow, and count nothing
}

// Match is what a rule demands of layer 4; Match{} demands nothing.
type Match struct {
	Protocol, NotProtocol Optional[policy.Protocol]
	ICMP, NotICMP         ICMP
	Src, Dst              Ports
}

// ICMP is what a rule demands of ICMP types and codes: of each what is set.
type ICMP struct {
	Set        bool
	Type, Code Optional[uint8]
}

// Optional is a value or none.
type Optional[T comparable] struct {
	Value T
	Set   bool
}

// Ports is what a rule demands of one port. A nil list is no demand. Equal lists must
// be the same one for matches to be comparable.
type Ports struct{ In, NotIn *PortList }

// PortList is a list of ports by number, and by numbers that stand for names.
type PortList struct {
	Ranges []dataplane.Range
	Names  []uint32
}

// TierRule is a rule that matches the peer, with the number of its tier.
type TierRule struct {
	Rule *Rule
	Tier int
}

// NamedPorts appends to a list the ports that the names stand for with a protocol,
// at the source or at the destination.
type NamedPorts func(to []dataplane.Range, names []uint32, source bool, protocol policy.Protocol) []dataplane.Range

// RuleRefs returns the number of the reference to what decides after the rules that log.
type RuleRefs func(by policy.Decider, logs dataplane.Logs) dataplane.DeciderID

// OptionalOf returns the value that a pointer leads to, or none.
func OptionalOf[T comparable](v *T) (o Optional[T]) {
	if v != nil {
		o = Optional[T]{*v, true}
	}
	return o
}

// ICMPOf returns what a match of the model demands; nil demands nothing.
func ICMPOf(m *policy.ICMPMatch) ICMP {
	if m == nil {
		return ICMP{}
	}
	return ICMP{Set: true, Type: OptionalOf(m.Type), Code: OptionalOf(m.Code)}
}
