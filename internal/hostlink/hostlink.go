// Package hostlink finds the host's interface that leads to a local pod: the
// host's end of a veth pair or a tap, by which its packets come in. Whoever knows
// it can tell a packet of the pod from one that only claims its address.
//
// # How
//
// The kernel is asked, and the CNI plugin, which made the interface. The kernel's route to
// the pod's address names an interface:
//
//   - of the pod itself (ptp, Calico, AWS VPC with its tables of routes, kindnet): a route
//     to this address alone, without a gateway: the kernel's own choice, rules of policy
//     routing included, or the one of whatever table if that leads elsewhere;
//   - or a bridge (the bridge plugin, Flannel): then the neighbour table has the
//     pod's hardware address, and the bridge's forwarding table its port.
//
// Routes are made by root only. What a bridge learns, it learns from packets, so a
// pod could claim the address of another: a port that was found once stays, as
// long as it exists, and one port belongs to one pod. The same is true of hardware
// addresses, where the CNI plugin did not tell them; never is a pod itself asked.
//
// # What is no pod's interface
//
// To take an interface for a pod's that leads to more cuts the rest off, so these are
// refused, whoever names them:
//
//   - what leads to more than a pod by some route of whatever table: a default route, a
//     gateway, a whole net; or to an address of somebody else. Routes that a pod can have the
//     host make (by router advertisements) do not take a pod's interface from it;
//   - a port of a bridge behind which a gateway of this host is;
//   - what leads to several pods;
//   - all but a veth whose other end is in another network namespace, a netkit or a tap.
//
// For pods behind anything else nothing is found, with the reason.
package hostlink

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Endpoint is a local pod that an interface is looked for.
type Endpoint struct {
	Key   policy.Key
	Addrs []netip.Addr
	// Interface is its name, if it is known from elsewhere, and Index its number, which
	// outlives the name; 0 if that is not known.
	Interface string
	Index     int
	// MAC is the pod's own hardware address, if it is known from elsewhere.
	MAC net.HardwareAddr
}

// Link is the interface of a local pod.
type Link struct {
	Key         policy.Key
	Name        string
	Index       int    // the kernel's number of it, never used twice while it exists
	Bridge      string // that it is a port of; empty if packets are routed
	BridgeIndex int
	Addrs       []netip.Addr     // all that the pod has
	MAC         net.HardwareAddr // the pod's own; nil if it is not known
}

// Bypass is a bridge between local pods of whose packets the host's rules never see some.
type Bypass struct {
	Bridge string
	// Family is 4 or 6; 0 for Tagged.
	Family int
	// Tagged says that the bridge is VLAN-aware: it tags frames, and the host's rules do not see tagged ones.
	Tagged bool
}

// String says what is wrong and what would be right.
func (b Bypass) String() string {
	if b.Tagged {
		return fmt.Sprintf("packets between pods on bridge %s bypass policy where the bridge tags them (vlan_filtering=1): set net.bridge.bridge-nf-filter-vlan-tagged=1", b.Bridge)
	}
	name := map[int]string{4: "iptables", 6: "ip6tables"}[b.Family]
	return fmt.Sprintf("IPv%d packets between pods on bridge %s bypass policy: load the kernel module br_netfilter and set net.bridge.bridge-nf-call-%s=1",
		b.Family, b.Bridge, name)
}

// Unknown is a local pod whose interface was not found.
type Unknown struct {
	Key    policy.Key
	Reason string
	Cause  Cause
	// Interface is the one that Reason speaks of, if there is one.
	Interface string
}

// Cause is why the interface of a pod was not found.
type Cause uint8

const (
	// NotYet says that the kernel may find out, or what is known is just changing.
	NotYet Cause = iota
	// NoWay says that no interface of this host leads to the pod.
	NoWay
	// Unfit says that the interface is no single pod's, or more than a pod's.
	Unfit
)

// Interface is an interface of the host.
type Interface struct {
	Name  string
	Index int
	Type  string // as the kernel has it: "veth", "bridge", "openvswitch"; "device" for hardware
	// Master is the number of the interface that this one is a part of; 0: none.
	Master int
}

// Result is what Find has found, sorted by key.
type Result struct {
	Links   []Link
	Unknown []Unknown
	Bypass  []Bypass
	// Interfaces are all of the host, ordered by their numbers.
	Interfaces []Interface
	// Tunnels are the host's overlay interfaces, ordered by name.
	Tunnels []Tunnel
	// TunnelEnds are the addresses, in order, that the host sends packed up packets to, for all that
	// the kernel knows: at most maxTunnelEnds.
	TunnelEnds []netip.Addr
	// Overlay is in which forms, and at which addresses, packets of overlays come to this host.
	Overlay Overlay
	// Routed are the nets that this host reaches by gateways or overlays, in order; at most maxRoutedNets.
	Routed []RoutedNet
	// LocalAddrs are the addresses that the host delivers to itself, in order: of all interfaces,
	// virtual ones, 169.254.20.10 of a DNS cache, without loopback's own and IPv6 link-local ones. LocalNets are the
	// ranges that it does so with as a whole.
	LocalAddrs []netip.Addr
	LocalNets  []netip.Prefix
	// ServiceAddrs are those of LocalAddrs that are services' and not the host's: kube-proxy in IPVS mode
	// has them on an interface of its own.
	ServiceAddrs []netip.Addr
}

// RoutedNet is a net, but not all there is, that a gateway or an overlay leads to.
type RoutedNet struct {
	Net     netip.Prefix
	Gateway netip.Addr // the zero Addr: the overlay needs none
	// Overlay says that the way there is by a tunnel of this host, so that a node of the same overlay is at its end.
	Overlay bool
}

// maxRoutedNets bounds how many are told.
const maxRoutedNets = 1 << 14

// Ends returns addresses that whoever the gateway is takes packets at: its own, and in the net behind
// it that of the net, the first one, which bridges and gateways of pods have, and the broadcast of IPv4.
func (r RoutedNet) Ends() []netip.Addr {
	net := r.Net.Masked().Addr()
	ends := []netip.Addr{net}
	if r.Gateway.IsValid() {
		ends = append(ends, r.Gateway)
	}
	if r.Net.IsSingleIP() {
		return ends
	}
	if ends = append(ends, net.Next()); net.Is4() {
		b := net.As4()
		for i := range b {
			b[i] |= byte(uint32(1<<32-1) >> r.Net.Bits() >> (24 - 8*i))
		}
		ends = append(ends, netip.AddrFrom4(b))
	}
	return ends
}
