package verify

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// site is an interface with the host endpoint that acts there; nil for none.
type site struct {
	name string
	ep   *policy.Endpoint
}

// elsewhere is the name of an interface that has no endpoint of its own.
const elsewhere = "tw-elsewhere"

// hookVerifier asks about the hooks of one node.
type hookVerifier struct {
	*verifier
	kernel      dataplane.HookDecider
	settings    *policy.HostSettings
	mark        uint32
	node        string
	sites       []site
	attachments map[dataplane.AttachmentKey]dataplane.HostAttachment
	governs     map[policy.Hook]bool
	bound       bool // the packet under way is at a boundary of the kernel: see compare
}

// decision is what must become of a packet.
type decision struct {
	skips dataplane.Skips // of a packet that an early hook allows
	by    *policy.Decider
}

// want says whether a packet must be dropped at a hook, and what else becomes of it.
func (h *hookVerifier) want(hook policy.Hook, p dataplane.HookPacket, s site) (drop bool, d decision) {
	if p.Link != 0 && hook == policy.HookRawIn && p.In != "lo" {
		return true, d // its source is not the pod's
	}
	if hook.Forward() {
		return h.wantForward(hook, p)
	}
	iface := p.In
	if hook.Direction() == policy.Egress {
		iface = p.Out
	}
	if hook == policy.HookInput && h.deniedToNode(p) {
		return true, d
	}
	if !h.governs[hook] || iface == "lo" {
		return false, d
	}
	stop, asked := h.stop(hook, p.Flow)
	_, safe := h.settings.Failsafe(hook, p.Flow)
	switch {
	case !hook.Raw() && (p.State == dataplane.PacketEstablished || p.State == dataplane.PacketRelated),
		p.IsNeighbourDiscovery(), p.IsControlTraffic():
		return false, d
	case stop.ToOwnNode && h.settings.EndpointToHost == policy.Deny:
		return true, decision{by: &policy.Decider{Kind: policy.KindEndpointToHost, Rule: policy.EndOfTier}}
	case stop.ToOwnNode, h.skipped(hook, p), safe, !asked:
		return false, d
	}
	return h.wantAttachment(hook, p, s)
}

// deniedToNode reports whether the policy of a workload denies a packet to its own node, by
// the engine's tables, which are held against the reference elsewhere.
func (h *hookVerifier) deniedToNode(p dataplane.HookPacket) bool {
	l, _ := h.Tables.Local(p.Src)
	switch {
	case l.ToNode == 0, p.State == dataplane.PacketEstablished || p.State == dataplane.PacketRelated, p.IsNeighbourDiscovery(), p.IsControlTraffic():
		return false
	}
	return stray(p) || actionOf(h.Tables.DecideToNode(p.Flow)) == policy.Deny
}

// stop returns the stop that a packet makes at a hook of the host's own traffic; false if
// what comes from a pod of the node, or goes to one, is not asked about there.
func (h *hookVerifier) stop(hook policy.Hook, f policy.Flow) (evaluate.Stop, bool) {
	_, peer := dataplane.LocalSide(hook, f)
	from, to := h.location(peer), evaluate.NodeItself
	if hook.Direction() == policy.Egress {
		from, to = to, from
	}
	path := evaluate.NodePath(from, to)
	if i := slices.IndexFunc(path, func(s evaluate.Stop) bool { return s.Hook == hook }); i >= 0 {
		return path[i], true
	}
	return evaluate.Stop{}, false
}

// location says where an address is that is not the host's own.
func (h *hookVerifier) location(a netip.Addr) evaluate.Location {
	if _, pod := h.Tables.Local(a); pod {
		return evaluate.Workload
	}
	return evaluate.Elsewhere
}

// skipped reports whether an earlier hook has said that a packet is not asked about.
func (h *hookVerifier) skipped(hook policy.Hook, p dataplane.HookPacket) bool {
	early := h.governs[policy.HookRawIn] || h.governs[policy.HookRawOut] || h.governs[policy.HookPreDNAT]
	switch {
	case hook.Raw(), !early, p.Mark&h.mark == 0:
		return false
	case hook == policy.HookPreDNAT:
		return h.governs[policy.HookRawIn]
	case hook.Direction() == policy.Egress:
		return p.State == dataplane.PacketUntracked
	}
	return true
}

// wantForward puts together what the two hooks of forwarding and the policy of
// workloads say.
func (h *hookVerifier) wantForward(hook policy.Hook, p dataplane.HookPacket) (drop bool, d decision) {
	if p.State == dataplane.PacketEstablished || p.State == dataplane.PacketRelated || p.IsControlTraffic() {
		return false, d
	}
	for _, s := range evaluate.NodePath(h.location(p.Src), h.location(p.Dst)) {
		switch {
		case s.Hook.BeforeFilter(): // that is another hook of the kernel
		case s.Hook == 0 && !p.Alone:
			drop = h.wantWorkload(s.Direction, p)
		case s.Hook != 0 && (!p.Alone || hook == s.Hook) && h.governs[s.Hook] && !h.skipped(s.Hook, p):
			iface := p.In
			if s.Direction == policy.Egress {
				iface = p.Out
			}
			drop, d = h.wantAttachment(s.Hook, p, h.siteOf(iface))
		}
		if drop {
			break
		}
	}
	return drop, d
}

// wantWorkload says what the policy of the workload at one end says, by the engine's
// tables, which are held against the reference elsewhere.
func (h *hookVerifier) wantWorkload(dir policy.Direction, p dataplane.HookPacket) (drop bool) {
	src, _ := h.Tables.Local(p.Src)
	dst, _ := h.Tables.Local(p.Dst)
	if p.Src == p.Dst || src.Egress+src.Ingress+dst.Egress+dst.Ingress == 0 {
		return false
	}
	return stray(p) || action(h.Tables, p.Flow, dir) == policy.Deny
}

// stray reports whether a packet is of no connection and begins none, so that it is
// not let in where policy governs.
func stray(p dataplane.HookPacket) bool {
	switch p.Protocol {
	case policy.TCP:
		return p.MidStream && (p.State == dataplane.PacketNew || p.State == dataplane.PacketInvalid)
	case policy.SCTP:
		return p.State == dataplane.PacketInvalid
	}
	return false
}

// wantAttachment says what the host endpoint of an interface says at a hook.
func (h *hookVerifier) wantAttachment(hook policy.Hook, p dataplane.HookPacket, s site) (drop bool, d decision) {
	if s.ep == nil {
		return false, d
	}
	family := policy.FamilyOf(p.Src)
	if h.attachment(hook, s, family).Governs() && !hook.BeforeFilter() && stray(p) {
		return true, d
	}
	if h.bound {
		v := h.Tables.DecideHost(dataplane.AttachmentKey{Node: h.node, Hook: hook, Interface: s.name}, p.Flow)
		if decider, _, _, ok := h.Tables.Decider(v.Decider); ok && v.Allow {
			d.skips = decider.Skips
		}
		return v.Governed && !v.Allow, d
	}
	return h.atHost(hook, p.Flow, s.ep)
}

func (h *hookVerifier) atHost(hook policy.Hook, f policy.Flow, ep *policy.Endpoint) (drop bool, d decision) {
	got, governed := h.atHooks().AtHost(hook, ep, f)
	if !governed {
		return false, d
	}
	d.by = got.By
	if got.Verdict == policy.Allow && got.By != nil {
		d.skips = dataplane.SkipsAt(hook)
	}
	return got.Verdict == policy.Deny, d
}

// attachment returns the attachment of an interface at a hook.
func (h *hookVerifier) attachment(hook policy.Hook, s site, family policy.Family) dataplane.HostAttachment {
	if s.ep == nil {
		return dataplane.HostAttachment{}
	}
	return h.attachments[dataplane.AttachmentKey{Node: h.node, Hook: hook, Interface: s.ep.Interface, Family: family}]
}

func (h *hookVerifier) siteOf(iface string) site {
	for _, s := range h.sites {
		if s.name == iface {
			return s
		}
	}
	return site{}
}
