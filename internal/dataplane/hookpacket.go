package dataplane

import "github.com/tierwall/tierwall/policy"

// HookPacket is a packet at one of the kernel's hooks: what base chains there may go
// by, beside the connection that it is of.
type HookPacket struct {
	policy.Flow
	In, Out   string      // interfaces by name; empty where the packet has none
	Link      uint32      // the kernel's number of In, where it is one of a local endpoint; else 0
	State     PacketState // as connection tracking has it
	MidStream bool        // a TCP packet that does not begin a connection
	Alone     bool        // where packets are routed: only what the hook itself says counts
	Mark      uint32      // by a bit of which an earlier hook says that it skips the host's policy
}

// PacketState is what connection tracking says of a packet.
type PacketState uint8

// The states. Before connection tracking all packets are invalid.
const (
	PacketNew PacketState = iota
	PacketEstablished
	PacketRelated
	PacketInvalid
	PacketUntracked
)

// String returns the state as nft writes it.
func (s PacketState) String() string {
	return [...]string{"new", "established", "related", "invalid", "untracked"}[s]
}

// HookOutcome is what the base chains at a hook do to a packet.
type HookOutcome struct {
	Drop bool
	// Guard is what dropped it before any policy was asked; "" if nothing did.
	Guard Guard
	// Mark is that of a packet that goes on, Untracked says that it is of no
	// connection from here on.
	Mark      uint32
	Untracked bool
}
