package policy

import (
	"fmt"
	"slices"
)

// Hook is where, on its way through a host, a packet meets policy of host
// endpoints.
type Hook uint8

// The hooks, in the order in which a packet meets them on its way in, and out.
const (
	// HookRawIn sees every packet that comes in, before connections are tracked.
	HookRawIn Hook = iota + 1
	// HookPreDNAT sees what begins a connection, before addresses are translated.
	HookPreDNAT
	// HookInput sees what is for the host's own processes.
	HookInput
	// HookForwardIn and HookForwardOut see what is routed through the host, as
	// it comes in and as it leaves.
	HookForwardIn
	HookForwardOut
	// HookRawOut sees every packet that the host's own processes send.
	HookRawOut
	// HookOutput sees the connections that the host's own processes begin.
	HookOutput
)

// Hooks lists them all.
var Hooks = []Hook{HookRawIn, HookPreDNAT, HookInput, HookForwardIn, HookForwardOut, HookRawOut, HookOutput}

var hookNames = map[Hook]string{
	HookRawIn: "untracked-in", HookPreDNAT: "pre-dnat", HookInput: "input", HookForwardIn: "forward-in",
	HookForwardOut: "forward-out", HookRawOut: "untracked-out", HookOutput: "output",
}

// String returns the hook as tables and traces name it.
func (h Hook) String() string { return hookNames[h] }

// Direction returns the direction of the policies that act at the hook.
func (h Hook) Direction() Direction {
	if h == HookForwardOut || h == HookRawOut || h == HookOutput {
		return Egress
	}
	return Ingress
}

// Raw reports whether the hook is before connection tracking.
func (h Hook) Raw() bool { return h == HookRawIn || h == HookRawOut }

// Forward reports whether the hook is for what is routed through the host. Nothing is
// always open there: it is not the host that would be locked out.
func (h Hook) Forward() bool { return h == HookForwardIn || h == HookForwardOut }

// BeforeFilter reports whether other hooks of the host follow for the same packet:
// there the end of a tier is Pass, whatever the tier says, and what no rule
// decides goes on.
func (h Hook) BeforeFilter() bool { return h.Raw() || h == HookPreDNAT }

// Skips reports whether a packet with a verdict at the hook is not asked about at a later
// one of the same host: after an Allow before connection tracking at any, and otherwise,
// once a hook before the filter has decided, at those of its direction.
func (h Hook) Skips(verdict Action, later Hook) bool {
	switch {
	case !h.BeforeFilter() || verdict == Pass:
		return false
	case h.Raw() && verdict == Allow:
		return true
	}
	return h.Direction() == later.Direction()
}

// Profiles reports whether profiles decide at the hook what no policy decides.
func (h Hook) Profiles() bool { return h == HookInput || h == HookOutput }

// ActsAt reports whether the policy acts at a hook of the host endpoints that it
// selects, if it governs the hook's direction.
func (o HostOptions) ActsAt(h Hook) bool {
	switch {
	case o.PreDNAT:
		return h == HookPreDNAT
	case o.DoNotTrack:
		return h.Raw()
	case h.Forward():
		return o.ApplyOnForward
	}
	return h == HookInput || h == HookOutput
}

// DecidesToOwnNode reports whether a policy that applies to a workload has the end of its
// tier act on what the workload sends to its own node. Kubernetes' own policies do not: by
// them alone nothing is denied there, while what their rules allow is allowed as anywhere.
func (p *Policy) DecidesToOwnNode() bool { return p.Key.Kind != KindKubernetesNetworkPolicy }

// ActsOnWorkloads reports whether the policy acts at workloads that it selects.
func (o HostOptions) ActsOnWorkloads() bool { return !o.PreDNAT && !o.DoNotTrack }

// HostSettings are what the administrator of hosts decides for all of them.
type HostSettings struct {
	// FailsafeIn and FailsafeOut are always open at host endpoints: what a mistake
	// in policy could not be fixed without.
	FailsafeIn, FailsafeOut []Failsafe
	// EndpointToHost is what becomes of what workloads send to their own host, once their
	// own egress policy allows it: Deny, or one of Allow, Pass and 0, which let it in. Pass
	// says beside that other rules of the host decide about it. Policy of host endpoints is
	// not asked about it, but for policy before DNAT.
	EndpointToHost Action
}

// Failsafe is a port that is always open, or NeighbourDiscovery.
type Failsafe struct {
	Protocol Protocol // TCP, UDP or SCTP
	Port     uint16
}

// NeighbourDiscovery is what is open whatever the settings are: see [Flow.IsNeighbourDiscovery].
var NeighbourDiscovery = Failsafe{Protocol: ICMPv6}

// String returns "TCP 22", or "neighbour discovery".
func (f Failsafe) String() string {
	if f == NeighbourDiscovery {
		return "neighbour discovery"
	}
	return fmt.Sprintf("%s %d", f.Protocol, f.Port)
}

// DefaultFailsafes returns those that are in force where nobody says otherwise:
// remote login, DHCP, DNS, BGP, etcd and the API server.
func DefaultFailsafes() (in, out []Failsafe) {
	tcp := func(ports ...uint16) []Failsafe {
		var list []Failsafe
		for _, p := range ports {
			list = append(list, Failsafe{TCP, p})
		}
		return list
	}
	in = append(tcp(22, 179, 2379, 2380, 5473, 6443, 6666, 6667), Failsafe{UDP, 68})
	out = append(tcp(179, 2379, 2380, 5473, 6443, 6666, 6667), Failsafe{UDP, 53}, Failsafe{UDP, 67})
	return in, out
}

// Failsafes returns those of a direction.
func (s *HostSettings) Failsafes(dir Direction) []Failsafe {
	if dir == Egress {
		return s.FailsafeOut
	}
	return s.FailsafeIn
}

// Failsafe returns the failsafe that keeps a connection open at a hook. Before
// connection tracking the replies to one count as well.
func (s *HostSettings) Failsafe(h Hook, f Flow) (Failsafe, bool) {
	if h.Forward() {
		return Failsafe{}, false
	}
	list := s.Failsafes(h.Direction())
	if i := slices.Index(list, Failsafe{f.Protocol, f.DstPort}); i >= 0 {
		return list[i], true
	}
	if !h.Raw() {
		return Failsafe{}, false
	}
	list = s.Failsafes(1 - h.Direction())
	if i := slices.Index(list, Failsafe{f.Protocol, f.SrcPort}); i >= 0 {
		return list[i], true
	}
	return Failsafe{}, false
}

// IsControlTraffic reports whether the flow is by what hosts of one link find each other,
// and say which groups they listen to: IPv6 neighbour and router solicitation, neighbour
// advertisement, MLD and IGMP. Policy never judges it. In the kernel such packets are known
// by their hop limit as well, so that none comes from beyond the link.
func (f Flow) IsControlTraffic() bool {
	const igmp = 2
	dst := f.Dst.Unmap()
	if dst.Is4() {
		return f.Protocol == igmp && dst.IsMulticast()
	}
	switch {
	case f.Protocol != ICMPv6:
		return false
	case f.ICMPType == 133 || f.ICMPType == 135 || f.ICMPType == 136:
		return true
	}
	return (130 <= f.ICMPType && f.ICMPType <= 132 || f.ICMPType == 143) && dst.IsMulticast()
}

// IsNeighbourDiscovery reports whether the flow is of the ICMPv6 types without
// which no IPv6 address can be reached at all. Where a host itself sends and receives, host
// endpoints never stop them: see [Hook.Exempts].
func (f Flow) IsNeighbourDiscovery() bool {
	return f.Protocol == ICMPv6 && 133 <= f.ICMPType && f.ICMPType <= 136
}

// Exempts reports whether nobody's policy stops a flow at the hook: control traffic, and beside
// it, where the host itself sends and receives, what routers say. What a workload's own policy
// says of its own node is asked at HookInput.
func (h Hook) Exempts(f Flow) bool {
	return f.IsControlTraffic() || f.IsNeighbourDiscovery() && !h.Forward()
}

// CompareHosts orders the host endpoints of one interface: the first acts.
func CompareHosts(a, b *Endpoint) int { return a.Key.Compare(b.Key) }
