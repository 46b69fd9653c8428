package dataplane

import "github.com/tierwall/tierwall/policy"

// HookPacket is a packet at one of the kernel's hooks: what base chains there may go
// by, beside the connection that it is of.
type HookPacket struct {
	policy.Flow
	In, Out string      // interfaces by name; empty where the packet has none
	Link    uint32      // the kernel's number of In, where it is one of a local endpoint; else 0
	State   PacketState // as connection tracking has it
	Late    bool        // a TCP packet that does not begin a connection
	Alone   bool        // where packets are routed: only what the hook itself says counts
	Mark    uint32      // by a bit of which an earlier hook says that it skips the host's policy
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
	// Mark is that of a packet that goes on, Untracked says that it is of no
	// connection from here on.
	Mark      uint32
	Untracked bool
}

// HookDecider is a kernel whose base chains can be walked. Both hooks of forwarding
// stand for all that happens where packets are routed, unless a packet is Alone.
type HookDecider interface {
	// AtHook walks all base chains that are at the place of a hook in the kernel,
	// policies of base chains included, as a packet does.
	AtHook(h policy.Hook, p HookPacket) HookOutcome
	// Misplaced says what is wrong with where base chains are, one line each.
	Misplaced() []string
	// Links returns the numbers of interfaces of local endpoints, of which the kernel
	// checks the sources of packets.
	Links() []uint32
	// Failsafes returns what the kernel holds always open.
	Failsafes() []policy.Failsafe
}
