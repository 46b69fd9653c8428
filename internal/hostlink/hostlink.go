// Package hostlink finds the host's interface that leads to a local pod: the
// host's end of a veth pair or a tap, by which its packets come in. Whoever knows
// it can tell a packet of the pod from one that only claims its address.
//
// # How
//
// No CNI is asked; the kernel is. The route to the pod's address names an
// interface:
//
//   - of the pod itself (ptp, Calico, AWS VPC with its tables of routes, kindnet):
//     the kernel's own choice among routes, rules of policy routing included, or
//     a route to this address alone in whatever table, if that leads to the world;
//   - or a bridge (the bridge plugin, Flannel): then the neighbour table has the
//     pod's hardware address, and the bridge's forwarding table its port.
//
// Routes are made by root only. What a bridge learns, it learns from packets, so a
// pod could claim the address of another: a port that was found once stays, as
// long as it exists, and one port belongs to one pod. Whoever knows the interface
// from elsewhere (from the CNI, which made it) says so: [Endpoint.Interface].
//
// # What is no pod's interface
//
// Only a veth whose other end is in another network namespace, a netkit or a tap
// can be; one with a default route, or one that leads to several pods, is not.
// For pods behind anything else nothing is found, with the reason.
package hostlink

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Endpoint is a local pod that an interface is looked for.
type Endpoint struct {
	Key   policy.Key
	Addrs []netip.Addr
	// Interface is its name, if it is known from elsewhere.
	Interface string
}

// Link is the interface of a local pod.
type Link struct {
	Key    policy.Key
	Name   string
	Index  int          // the kernel's number of it, never used twice while it exists
	Bridge string       // that it is a port of; empty if packets are routed
	Addrs  []netip.Addr // all that the pod has
}

// Bypass is a bridge between local pods whose packets the host's rules never see.
type Bypass struct {
	Bridge string
	// Family is 4 or 6.
	Family int
}

// String says what is wrong and what would be right.
func (b Bypass) String() string {
	name := map[int]string{4: "iptables", 6: "ip6tables"}[b.Family]
	return fmt.Sprintf("IPv%d packets between pods on bridge %s bypass policy: load the kernel module br_netfilter and set net.bridge.bridge-nf-call-%s=1",
		b.Family, b.Bridge, name)
}

// Unknown is a local pod whose interface was not found.
type Unknown struct {
	Key    policy.Key
	Reason string
}

// Result is what Find has found, sorted by key.
type Result struct {
	Links   []Link
	Unknown []Unknown
	Bypass  []Bypass
}
