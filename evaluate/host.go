package evaluate

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// HostIndex is an [Index] that knows host endpoints too. One that does not asks
// only the policy of workloads.
type HostIndex interface {
	Index
	// HostSettings returns what the administrator decides for all hosts.
	HostSettings() *policy.HostSettings
	// HasHosts reports whether there is any host endpoint or setting that could
	// decide something.
	HasHosts() bool
	// NodeAt returns the node whose own address it is, "" if it is none's.
	NodeAt(addr netip.Addr) string
	// HostAt returns the host endpoint of a node that acts for an interface, nil if
	// none does. Where the interface is not known (""), it is the first that
	// expects the address, else that of all interfaces, else the first there is.
	HostAt(node, iface string, addr netip.Addr) *policy.Endpoint
}

// hosts adds what hosts say: of connections that begin or end there, and of
// those that are routed: through the hosts of the two ends, and through one between
// them, which is named or was asked for the destination before it was translated.
func (c *connection) hosts(res *policy.Result) {
	index, ok := c.index.(HostIndex)
	if !ok || !index.HasHosts() {
		return
	}
	src, dst := c.placeOf(index, policy.Egress), c.placeOf(index, policy.Ingress)
	decided := src.node != "" && !src.host && c.beforeDNAT(index, src.node, res)
	if src.node != "" && src.node == dst.node {
		// Within one host only what a workload sends to the host itself is asked of.
		if dst.host && !src.host && !decided {
			c.fromOwnWorkload(index, dst.node, res)
		}
		return
	}
	through := *c // as the node sees it that routes it on
	if c.Router != "" {
		// The interfaces are that one's.
		there := *c
		there.In, there.Out = "", ""
		c = &there
	}
	switch {
	case src.host:
		c.atHost(index, src.node, c.Out, res, policy.HookRawOut, policy.HookOutput)
	case src.node != "":
		c.atHost(index, src.node, c.Out, res, policy.HookForwardOut)
	}
	router := c.Router
	if c.PreNATDst.IsValid() && router == "" {
		if router = index.NodeAt(c.PreNATDst.Unmap()); router != "" && router != dst.node {
			through.Out = "" // it is that of the source's host
		}
	}
	if router != "" && router != dst.node {
		if router != src.node && !through.atHost(index, router, through.In, res, policy.HookRawIn, policy.HookPreDNAT, policy.HookForwardIn) {
			through.atHost(index, router, through.Out, res, policy.HookForwardOut)
		}
		translated := *c
		translated.PreNATDst, translated.PreNATDstPort, translated.In = netip.Addr{}, 0, ""
		c = &translated
	}
	switch {
	case dst.host:
		c.atHost(index, dst.node, c.In, res, policy.HookRawIn, policy.HookPreDNAT, policy.HookInput)
	case dst.node != "":
		c.atHost(index, dst.node, c.In, res, policy.HookRawIn, policy.HookPreDNAT, policy.HookForwardIn)
	}
}

// place is where one end of a connection is: on a node (a workload), or the
// node itself (host). What is elsewhere has neither.
type place struct {
	node string
	host bool
}

func (c *connection) placeOf(index HostIndex, dir policy.Direction) place {
	if ep := c.holders[dir]; ep != nil && ep.Host == nil {
		return place{node: ep.Node}
	}
	addr := c.Src
	if dir == policy.Ingress {
		addr = c.Dst
	}
	node := index.NodeAt(addr)
	return place{node, node != ""}
}

// beforeDNAT asks about what a workload sends, before anything else does: what comes
// in by its interface is new to its host as well. That is for the endpoint of all
// interfaces, as a rule. It reports whether the host has no more to say.
func (c *connection) beforeDNAT(index HostIndex, node string, res *policy.Result) (decided bool) {
	iface := c.holders[policy.Egress].Interface
	if iface == "" {
		iface = policy.AllInterfaces
	}
	before := len(res.Hosts)
	c.atHost(index, node, iface, res, policy.HookPreDNAT)
	return len(res.Hosts) > before && res.Hosts[before].Verdict != policy.Pass
}

// fromOwnWorkload decides what a workload sends to the host that it runs on.
func (c *connection) fromOwnWorkload(index HostIndex, node string, res *policy.Result) {
	switch action := index.HostSettings().EndpointToHost; action {
	case policy.Deny:
		res.Ingress = policy.Decision{Verdict: policy.Deny, By: &policy.Decider{Kind: policy.KindEndpointToHost, Rule: policy.EndOfTier}}
	case policy.Pass:
		c.atHost(index, node, c.In, res, policy.HookInput)
	}
}

// atHost asks one host's hooks in their order, until one decides. It reports whether
// the packet is not tracked there, so that no other hook of the host is asked either.
func (c *connection) atHost(index HostIndex, node, iface string, res *policy.Result, hooks ...policy.Hook) (untracked bool) {
	for _, h := range hooks {
		at := *c
		if (h == policy.HookPreDNAT || h == policy.HookRawIn) && c.PreNATDst.IsValid() {
			at.Dst, at.DstPort = c.PreNATDst.Unmap(), c.PreNATDstPort
			at.holders[policy.Ingress] = index.Holder(at.Dst)
		}
		own := at.Dst
		if h.Direction() == policy.Egress {
			own = at.Src
		}
		ep := index.HostAt(node, iface, own)
		if ep == nil {
			return false
		}
		d, governed := at.decideHost(h, ep)
		open, safe := at.failsafe(index, h)
		switch {
		case !governed || safe && h.BeforeFilter():
			continue
		case safe:
			d = open
		}
		switch h {
		case policy.HookInput:
			res.Ingress = d
		case policy.HookOutput:
			res.Egress = d
		default:
			res.Hosts = append(res.Hosts, policy.HostDecision{Hook: h, Endpoint: ep.Key, Decision: d})
		}
		if d.Verdict == policy.Deny || h.BeforeFilter() && d.Verdict == policy.Allow {
			return h.Raw() && d.Verdict == policy.Allow // an Allow there skips the rest of the host's policy
		}
	}
	return false
}

// failsafe decides what is open at every host endpoint. An early hook lets it by, and
// it is for later ones to say who allows it.
func (c *connection) failsafe(index HostIndex, h policy.Hook) (policy.Decision, bool) {
	open := func(name string) (policy.Decision, bool) {
		return policy.Decision{Verdict: policy.Allow, By: &policy.Decider{Kind: policy.KindFailsafe, Name: name}}, true
	}
	if h == policy.HookForwardIn || h == policy.HookForwardOut {
		return policy.Decision{}, false // it is not the host that would be locked out
	}
	if f, ok := index.HostSettings().Failsafe(h, c.Flow); ok {
		return open(f.String())
	}
	if c.IsNeighbourDiscovery() {
		return open("neighbour discovery")
	}
	return policy.Decision{}, false
}

// decideHost asks the policies of a host endpoint that act at a hook; false if
// none does and nothing else governs there.
func (c *connection) decideHost(h policy.Hook, ep *policy.Endpoint) (policy.Decision, bool) {
	d, governed, decided := c.walk(h.Direction(), ep, h)
	switch {
	case decided:
		return d, true
	case h.Profiles():
		return profile(d, ep, governed), true
	case !governed:
		return d, false
	case h.BeforeFilter():
		d.Verdict = policy.Pass
	default:
		d.Verdict = policy.Allow // routed on: nothing stands against it
	}
	return d, true
}

// AtHost decides a flow at one hook of a host endpoint as tables do, without
// failsafes: false if no policy governs there. A verdict of Pass is given as Allow
// by nobody.
func (e *Evaluator) AtHost(h policy.Hook, ep *policy.Endpoint, f policy.Flow) (policy.Decision, bool) {
	c := newConnection(e.index, f, true)
	d, governed := c.decideHost(h, ep)
	if d.Verdict == policy.Pass {
		d.Verdict = policy.Allow
	}
	return d, governed
}

// The plain index's part.

// HostSettings implements HostIndex.
func (s *scan) HostSettings() *policy.HostSettings { return &s.model.Host }

// HasHosts implements HostIndex.
func (s *scan) HasHosts() bool {
	return s.model.Host.EndpointToHost == policy.Deny ||
		slices.ContainsFunc(s.model.Endpoints, func(ep *policy.Endpoint) bool { return ep.Host != nil })
}

// NodeAt implements HostIndex.
func (s *scan) NodeAt(addr netip.Addr) string {
	for _, n := range s.model.Nodes {
		if slices.Contains(n.Addrs, addr) {
			return n.Name
		}
	}
	if ep := s.Holder(addr); ep != nil && ep.Host != nil {
		return ep.Node
	}
	return ""
}

// HostAt implements HostIndex.
func (s *scan) HostAt(node, iface string, addr netip.Addr) *policy.Endpoint {
	if iface == "lo" {
		return nil
	}
	first := func(fits func(*policy.Endpoint) bool) *policy.Endpoint {
		var found *policy.Endpoint
		for _, ep := range s.model.Endpoints {
			if ep.Host != nil && ep.Node == node && fits(ep) && (found == nil || policy.CompareHosts(ep, found) < 0) {
				found = ep
			}
		}
		return found
	}
	all := func(ep *policy.Endpoint) bool { return ep.Interface == policy.AllInterfaces }
	if iface != "" {
		if ep := first(func(ep *policy.Endpoint) bool { return ep.Interface == iface }); ep != nil {
			return ep
		}
		return first(all)
	}
	if ep := first(func(ep *policy.Endpoint) bool { return !all(ep) && slices.Contains(ep.Host.Expected, addr) }); ep != nil {
		return ep
	}
	if ep := first(all); ep != nil {
		return ep
	}
	return first(func(*policy.Endpoint) bool { return true })
}
