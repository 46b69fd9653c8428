package nft

import (
	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// cutter decides which live connections the tables deny.
type cutter struct{ *layout }

var _ conntrack.HostDecider = cutter{}

// Decide decides a flow by the tables of local endpoints.
func (c cutter) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) { return c.state.Decide(f) }

// DeniesHost reports whether host endpoints deny a connection, by the interfaces
// that routes lead to its ends by.
func (c cutter) DeniesHost(f policy.Flow, at conntrack.Place) bool {
	hooks := c.host.content.hooks
	if len(hooks) == 0 || f.IsNeighbourDiscovery() {
		return false
	}
	_, podSrc := c.state.Local(f.Src)
	_, podDst := c.state.Local(f.Dst)
	egress, ingress := policy.HookForwardOut, policy.HookForwardIn
	if at.OwnSrc {
		egress, ingress = policy.HookOutput, 0
	}
	if at.OwnDst {
		egress, ingress = 0, policy.HookInput
	}
	if !at.OwnSrc && hooks[policy.HookPreDNAT] {
		first := f
		first.Dst, first.DstPort = at.Before.Addr(), at.Before.Port()
		switch v := c.verdict(policy.HookPreDNAT, first, at.Via(f.Src)); {
		case v.Governed && !v.Allow && c.denied(policy.HookPreDNAT, first, at.Via(f.Src)):
			return true
		case v.Governed && v.Allow && c.skips(v.Decider):
			ingress = 0
		}
	}
	switch {
	case at.OwnDst && podSrc && ingress != 0 && c.host.settings.EndpointToHost != policy.Pass:
		return c.host.settings.EndpointToHost == policy.Deny
	case podSrc && !at.OwnDst, podDst && at.OwnSrc:
		ingress = 0
	}
	if podDst {
		egress = 0
	}
	if egress != 0 && hooks[egress] && c.denied(egress, f, at.Via(f.Dst)) {
		return true
	}
	if ingress == 0 {
		return false
	}
	return hooks[ingress] && c.denied(ingress, f, at.Via(f.Src))
}

// denied reports whether a hook denies a connection.
func (c cutter) denied(h policy.Hook, f policy.Flow, iface string) bool {
	if h != policy.HookForwardIn && h != policy.HookForwardOut {
		if _, open := c.host.settings.Failsafe(h, f); open {
			return false
		}
	}
	v := c.verdict(h, f, iface)
	return v.Governed && !v.Allow
}

// verdict returns what the point of an interface says; of an interface that is not
// known, that of all interfaces.
func (c cutter) verdict(h policy.Hook, f policy.Flow, iface string) dataplane.Verdict {
	points := c.state.Points()
	if len(points) == 0 {
		return dataplane.Verdict{Allow: true}
	}
	at := dataplane.PointKey{Node: points[0].Node, Hook: h, Interface: iface} // all are of one node
	if iface == "" {
		at.Interface = policy.AllInterfaces
	}
	return c.state.DecideHost(at, f)
}

// skips reports whether a decider lets a connection skip the rest of the policy.
func (c cutter) skips(id dataplane.DeciderID) bool {
	d, _, _, ok := c.state.Decider(id)
	return ok && d.Skips != dataplane.SkipsNothing
}
