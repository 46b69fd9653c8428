package nft

import (
	"context"
	"net/netip"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// cutter decides which live connections the tables deny.
type cutter struct{ *layout }

var _ conntrack.ConnectionDecider = cutter{}

// Decide decides a flow by the tables of local endpoints.
func (c cutter) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) { return c.state.Decide(f) }

// DecideToNode decides what a local endpoint sends to its own node.
func (c cutter) DecideToNode(f policy.Flow) dataplane.Verdict { return c.state.DecideToNode(f) }

// DeniesHost reports whether host endpoints deny a connection, by the interfaces
// that routes lead to its ends by, or the policy of a local endpoint what it sends to the
// host. What is decided without tracking has no connection.
func (c cutter) DeniesHost(f policy.Flow, seen conntrack.HostView) bool {
	hooks := c.host.content.hooks
	from, to := c.location(f.Src, seen.OwnSrc), c.location(f.Dst, seen.OwnDst)
	var allowed policy.Hook // at which a rule has allowed it
	for _, s := range evaluate.NodePath(from, to) {
		switch {
		case s.Hook.Exempts(f):
			continue
		case s.ToOwnNode && s.Hook == 0:
			if !c.state.DecideToNode(f).Allow {
				return true
			}
			continue
		case s.ToOwnNode:
			return c.host.settings.EndpointToHost == policy.Deny
		case s.Hook == 0 || s.Hook.Raw() || !hooks[s.Hook] || allowed.Skips(policy.Allow, s.Hook):
			continue
		}
		switch c.stopVerdict(s, f, seen) {
		case policy.Deny:
			return true
		case policy.Allow:
			allowed = s.Hook
		}
	}
	return false
}

// location says where an end of a connection is; own is that the host itself has it.
func (c cutter) location(a netip.Addr, own bool) evaluate.Location {
	if own {
		return evaluate.NodeItself
	}
	if _, pod := c.state.Local(a); pod {
		return evaluate.Workload
	}
	return evaluate.Elsewhere
}

// stopVerdict returns what is said of a connection at one hook: Pass where nothing is, or
// where it goes on.
func (c cutter) stopVerdict(s evaluate.Stop, f policy.Flow, seen conntrack.HostView) policy.Action {
	iface := seen.Via(f.Src)
	if s.Direction == policy.Egress {
		iface = seen.Via(f.Dst)
	}
	if s.Hook.BeforeFilter() {
		f.Dst, f.DstPort = seen.PreNATDst.Addr(), seen.PreNATDst.Port()
	}
	v := c.verdict(s.Hook, f, iface)
	_, open := c.host.settings.Failsafe(s.Hook, f)
	switch {
	case !v.Governed:
		return policy.Pass
	case v.Allow && c.skips(v.Decider):
		return policy.Allow
	case v.Allow:
		return policy.Pass
	case open:
		return policy.Pass
	}
	return policy.Deny
}

// verdict returns what the attachment of an interface says; of an interface that is not
// known, that of all interfaces.
func (c cutter) verdict(h policy.Hook, f policy.Flow, iface string) dataplane.Verdict {
	attachments := c.state.Attachments()
	if len(attachments) == 0 {
		return dataplane.Verdict{Allow: true}
	}
	at := dataplane.AttachmentKey{Node: attachments[0].Node, Hook: h, Interface: iface} // all are of one node
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

// ConnectionsCut returns how many connections were cut so far; it may be called at any time.
func (b *Dataplane) ConnectionsCut() uint64 { return b.ended.Load() }

// CutDue reports whether a change since the last Cut may deny live connections.
func (b *Dataplane) CutDue() bool { return b.due }

// maxCutsLogged is how many connections of one cut are named in the log.
const maxCutsLogged = 20

// Cut ends the connections that the tables deny. The kernel goes through all of
// its connections for that, and through all of the table that it finds them by:
// 11 ms for one of 262,144 buckets, however few connections there are.
func (b *Dataplane) Cut(ctx context.Context) {
	b.due = false
	if b.live == nil {
		return
	}
	cut, err := b.live.Cut(ctx, cutter{b.layout})
	b.ended.Add(uint64(len(cut)))
	b.rememberCut(cut)
	for i, e := range cut {
		if i == maxCutsLogged {
			b.log.Info("more connections cut", "connections", len(cut)-i)
			break
		}
		b.log.Info("connection cut: policy denies it now", "connection", e.String())
	}
	if err != nil {
		b.log.Error("live connections that policy denies were not cut; trying again later", "error", err)
	}
}
