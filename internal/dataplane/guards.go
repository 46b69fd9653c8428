package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// A Guard stands before policy: it drops what no policy could judge, or what would have
// policy judge somebody else's packets. It is no verdict: nobody lists it among who can
// reach whom. Each has a counter, and can be switched off.
type Guard string

// The guards.
const (
	GuardSource        Guard = "source"
	GuardUplinkSource  Guard = "uplink-source"
	GuardUnknown       Guard = "unknown-address"
	GuardRouter        Guard = "router"
	GuardFrame         Guard = "frame"
	GuardMAC           Guard = "mac"
	GuardLinkLocal     Guard = "link-local"
	GuardDestination   Guard = "destination"
	GuardEncapsulation Guard = "encapsulation"
	GuardOverlay       Guard = "overlay"
	GuardICMPError     Guard = "icmp-error"
)

// GuardInfo is what is to be known of a guard.
type GuardInfo struct {
	Guard Guard
	// Drops says in a few words what it drops; it stands beside the rule in the kernel.
	Drops string
	// Switch is how an administrator lets it pass.
	Switch string
}

// Guards lists all of them, in the order in which a packet meets them.
var Guards = []GuardInfo{
	{GuardFrame, "a tagged frame, or one that is neither IP nor ARP", disableFlag(GuardFrame)},
	{GuardMAC, "not its own hardware address", disableFlag(GuardMAC)},
	{GuardSource, "not its own address", "--check-sources=false"},
	{GuardUplinkSource, "a pod's address, from where the pod is not", "--uplink-source-check=off"},
	{GuardRouter, "a pod that says it is a router", disableFlag(GuardRouter)},
	{GuardICMPError, "an ICMP error about a connection of others", disableFlag(GuardICMPError)},
	{GuardEncapsulation, "an encapsulated packet from a pod to a node", "--encapsulation-from-workloads=Allow"},
	{GuardOverlay, "a packet of an overlay, at an address that is not its end", disableFlag(GuardOverlay)},
	{GuardLinkLocal, "a link-local address, which policy cannot judge", disableFlag(GuardLinkLocal)},
	{GuardDestination, "not for an address of the pod, whose policy cannot judge it", disableFlag(GuardDestination)},
	{GuardUnknown, "no endpoint is known at this address of the node", "--deny-unknown-pods=false"},
}

func disableFlag(g Guard) string { return "--disable-guards=" + string(g) }

// Info returns what is to be known of a guard; false if there is none of that name.
func (g Guard) Info() (GuardInfo, bool) {
	i := slices.IndexFunc(Guards, func(x GuardInfo) bool { return x.Guard == g })
	if i < 0 {
		return GuardInfo{}, false
	}
	return Guards[i], true
}

// CanDisable lists the guards that GuardSettings.Disabled may name: those without a
// setting of their own.
func CanDisable() []Guard {
	var list []Guard
	for _, x := range Guards {
		if x.Switch == disableFlag(x.Guard) {
			list = append(list, x.Guard)
		}
	}
	return list
}

// GuardSettings say which guards are on. The zero value is the strictest.
type GuardSettings struct {
	Disabled      []Guard
	Encapsulation EncapsulationScope
}

// ParseDisabled reads the names of guards to be switched off.
func ParseDisabled(names []string) ([]Guard, error) {
	var list []Guard
	for _, name := range names {
		g := Guard(strings.TrimSpace(name))
		if !slices.Contains(CanDisable(), g) {
			if x, ok := g.Info(); ok {
				return nil, fmt.Errorf("guard %q: use %s", name, x.Switch)
			}
			return nil, fmt.Errorf("there is no guard %q: expected some of %s", name, joinGuards(CanDisable()))
		}
		if !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	return list, nil
}

func joinGuards(list []Guard) string {
	var names []string
	for _, g := range list {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

// Has reports whether a guard is on.
func (s GuardSettings) Has(g Guard) bool {
	if g == GuardEncapsulation {
		return s.Encapsulation != EncapsulationAllowed
	}
	return !slices.Contains(s.Disabled, g)
}

// EncapsulationScope says which encapsulated packets of workloads are dropped. Others
// are for policy, which sees what is around them.
type EncapsulationScope uint8

// The scopes.
const (
	// EncapsulationToNodes drops what goes to nodes and ends of tunnels, who would unpack it.
	EncapsulationToNodes EncapsulationScope = iota
	// EncapsulationAll drops all of it.
	EncapsulationAll
	// EncapsulationAllowed drops none.
	EncapsulationAllowed
)

var encapsulationNames = [...]string{EncapsulationToNodes: "DropToNodes", EncapsulationAll: "DropAll", EncapsulationAllowed: "Allow"}

// EncapsulationScopes lists how the scopes are written.
func EncapsulationScopes() []string { return encapsulationNames[:] }

// String returns the scope as flags write it.
func (s EncapsulationScope) String() string { return encapsulationNames[s] }

// ParseEncapsulationScope reads a scope.
func ParseEncapsulationScope(text string) (EncapsulationScope, error) {
	i := slices.Index(encapsulationNames[:], text)
	if i < 0 {
		return 0, fmt.Errorf("%q: expected %s", text, strings.Join(encapsulationNames[:], ", "))
	}
	return EncapsulationScope(i), nil
}

// GuardCounter is what a guard has dropped since the tables were made.
type GuardCounter struct {
	Guard          Guard
	Packets, Bytes uint64
}

// SourceCounter is how many packets came with the address of a local endpoint from where
// it is not, in the last time.
type SourceCounter struct {
	Source  netip.Addr
	Packets uint64
}

// Drops returns the guard that drops what a workload sends, as far as a connection by its
// addresses, protocol, ports and types tells. toNode says that it is for a node, the end of a
// tunnel, a group or everybody; tunnelPorts are UDP ports at which the sender's node unpacks packets, beside the usual ones.
func (s GuardSettings) Drops(f policy.Flow, toNode bool, tunnelPorts []uint16) (Guard, bool) {
	router := f.Protocol == policy.ICMP && (f.ICMPType == 5 || f.ICMPType == 9) || f.Protocol == policy.ICMPv6 && (f.ICMPType == 134 || f.ICMPType == 137)
	if router && s.Has(GuardRouter) {
		return GuardRouter, true
	}
	if toNode || s.Encapsulation == EncapsulationAll {
		return GuardEncapsulation, s.Has(GuardEncapsulation) && isEncapsulation(f, tunnelPorts)
	}
	return "", false
}

// UsualTunnelPorts are the UDP ports of VXLAN (IANA's and Linux's), Geneve and VXLAN-GPE;
// TunnelProtocols are IP in IP, IPv6 in IP, and GRE.
var (
	UsualTunnelPorts = []uint16{4789, 8472, 6081, 4790}
	TunnelProtocols  = []policy.Protocol{4, 41, 47}
)

// isEncapsulation reports whether a flow is of packets within packets, by the usual ports and further ones.
func isEncapsulation(f policy.Flow, ports []uint16) bool {
	udp := f.Protocol == policy.UDP || f.Protocol == policy.UDPLite
	return udp && (slices.Contains(UsualTunnelPorts, f.DstPort) || slices.Contains(ports, f.DstPort)) || slices.Contains(TunnelProtocols, f.Protocol)
}
