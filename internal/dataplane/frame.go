package dataplane

import (
	"net"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// LinkHook is a place where the kernel asks about what comes by a link, before policy or
// beside it.
type LinkHook uint8

// The places, in the order in which a packet may come to them.
const (
	BridgePrerouting LinkHook = iota // what enters by a port
	BridgeInput                      // what a bridge hands to its host
	BridgeForward                    // what goes on from one port to another
	LinkPrerouting                   // IP, before connection tracking; from a bridge, what came by its ports
	LinkForward                      // IP that is routed, or goes on between ports
	LinkInput                        // IP for the host itself
)

// String returns the place in words.
func (h LinkHook) String() string {
	return [...]string{"bridge prerouting", "bridge input", "bridge forward", "prerouting", "forward", "input"}[h]
}

// Bridge reports whether only frames on bridges come there.
func (h LinkHook) Bridge() bool { return h <= BridgeForward }

// Types of what an Ethernet frame carries (IEEE 802 numbers).
const (
	EtherIPv4 = 0x0800
	EtherARP  = 0x0806
	EtherIPv6 = 0x86dd
)

// Frame is a packet as it comes by a link, by all that guards may go by.
type Frame struct {
	// Flow is of IP. Of ARP it has the sender's address as its Src, and nothing else.
	policy.Flow
	// In and Out are the kernel's numbers of interfaces: of ports where a bridge is asked; 0 for
	// none, or one that is no local endpoint's.
	In, Out int
	// Type is the one that stands in the frame: a tag's, or that of what it carries. Carries
	// is the latter, tags taken off.
	Type, Carries uint16
	// From and To are hardware addresses. Told is the one that ARP or neighbour discovery tell of
	// their sender; nil: they tell none.
	From, To, Told net.HardwareAddr
	// Embedded is the destination of the packet that an ICMP error carries, and Target the address
	// that neighbour discovery is about.
	Embedded, Target netip.Addr
}

// LinkOutcome is what the base chains of a place do to a frame.
type LinkOutcome struct {
	Drop  bool
	Guard Guard // which guard drops it; empty: none does
}

// LinkDecider is a kernel that can be walked with what comes by links.
type LinkDecider interface {
	// AtLink walks all base chains that are at a place, as a frame does that nothing has dropped
	// before. Policy has its say where it is asked there.
	AtLink(h LinkHook, f Frame) LinkOutcome
}
