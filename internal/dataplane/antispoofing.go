package dataplane

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// AntiSpoofing is what is known of where local endpoints are, beside what their tables
// say: by which interface their packets come in; and of who unpacks what others have
// packed up.
type AntiSpoofing struct {
	// Links are the interfaces of local endpoints, at most one of each.
	Links []Link
	// PodNets are ranges in which this node has endpoints only: an address in them
	// that is none of Locals has no traffic. Nil leaves such addresses alone.
	PodNets []netip.Prefix
	// NodeAddrs are addresses of nodes, of the ends of tunnels, and the broadcast addresses
	// of their nets.
	NodeAddrs []netip.Addr
	// TunnelPorts are UDP ports of overlay interfaces, beside the usual ones.
	TunnelPorts []uint16
	// OverlayPorts of UDP and OverlayProtocols are the forms in which packets of overlays come to
	// this host at OverlayAddrs, and at no other of its addresses.
	OverlayPorts     []uint16
	OverlayProtocols []policy.Protocol
	OverlayAddrs     []netip.Addr
}

// Link is an interface that leads to one local endpoint and to nothing else.
type Link struct {
	Index int // the kernel's number of it
	// Port says that it is a port of a bridge.
	Port bool
	// Bridge is the kernel's number of the bridge; 0: it is not known.
	Bridge int
	// Addrs are the addresses that packets from it may have as their source.
	Addrs []netip.Addr
	// MAC is its hardware address; nil: it is not known, and not checked.
	MAC net.HardwareAddr
	// Sources are ranges of further sources that the administrator allows.
	Sources []netip.Prefix
}

// Equal reports whether two links are the same.
func (l Link) Equal(o Link) bool {
	return l.Index == o.Index && l.Port == o.Port && l.Bridge == o.Bridge && slices.Equal(l.Addrs, o.Addrs) &&
		slices.Equal(l.MAC, o.MAC) && slices.Equal(l.Sources, o.Sources)
}

// Equal reports whether the same is known.
func (a AntiSpoofing) Equal(o AntiSpoofing) bool {
	return slices.EqualFunc(a.Links, o.Links, Link.Equal) && slices.Equal(a.PodNets, o.PodNets) &&
		slices.Equal(a.NodeAddrs, o.NodeAddrs) && slices.Equal(a.TunnelPorts, o.TunnelPorts) &&
		slices.Equal(a.OverlayPorts, o.OverlayPorts) && slices.Equal(a.OverlayProtocols, o.OverlayProtocols) && slices.Equal(a.OverlayAddrs, o.OverlayAddrs)
}
