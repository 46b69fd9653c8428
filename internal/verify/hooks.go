package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// A kernel whose base chains can be walked is asked about host endpoints from there
// on, as packets come: failsafes, connection tracking, marks, the dispatch by
// interfaces, what is exempt and what is not, and where forwarded packets pass, the
// policy of workloads as well. What must come out is put together here from what
// evaluate says at each hook.

// hooks asks at all hooks.
func (v *verifier) hooks(ctx context.Context, kernel dataplane.HookDecider, tasks []hostTask) error {
	h := &hookVerifier{
		verifier: v, kernel: kernel, settings: &v.Model.Host, mark: cmp.Or(v.Mark, dataplane.DefaultMark),
		attachments: map[dataplane.AttachmentKey]dataplane.HostAttachment{}, governs: map[policy.Hook]bool{},
	}
	for _, text := range kernel.Misplaced() {
		v.report.structure(text)
	}
	if len(tasks) == 0 && len(v.Tables.Locals()) == 0 {
		return nil // nothing of hosts is asked for
	}
	acting := map[string]*policy.Endpoint{}
	for _, t := range tasks {
		acting[t.at.Interface], h.node = t.endpoint, t.at.Node
	}
	for _, name := range slices.Sorted(maps.Keys(acting)) {
		if name != policy.AllInterfaces {
			h.sites = append(h.sites, site{name, acting[name]})
		}
	}
	h.sites = append(h.sites, site{elsewhere, acting[policy.AllInterfaces]}, site{"lo", nil})
	for _, p := range v.Tables.Attachments() {
		h.attachments[p.AttachmentKey] = p
		h.governs[p.Hook] = h.governs[p.Hook] || p.Governs()
	}
	h.governs[policy.HookInput] = h.governs[policy.HookInput] || h.settings.EndpointToHost == policy.Deny
	for _, hook := range policy.Hooks {
		for _, s := range h.sites {
			for _, family := range policy.Families {
				if err := ctx.Err(); err != nil {
					return err
				}
				h.site(hook, s, family)
			}
		}
	}
	return nil
}

// site asks what one interface is to be asked at a hook: at all regions of its
// policy, and what stands before policy.
func (h *hookVerifier) site(hook policy.Hook, s site, family policy.Family) {
	if s.name == "lo" && hook.Forward() {
		return // nothing is routed from there or to there
	}
	at := dataplane.AttachmentKey{Node: h.node, Hook: hook, Interface: s.name, Family: family}
	t := hostTask{at: at, endpoint: s.ep, attachment: h.attachment(hook, s, family)}
	var first []policy.Flow // some flows that go on, and some that end
	kinds, asked := map[string]int{}, 0
	h.hostFlows(t, func(f policy.Flow) {
		if asked++; s.ep == nil && asked > ungoverned {
			return
		}
		p := h.packet(hook, s, f)
		drop, d := h.want(hook, p, s)
		own, _ := dataplane.LocalSide(hook, f)
		_, known := h.Tables.AddrClass(own) // not only by a net
		if kind := fmt.Sprint(drop, d.by != nil, known, f.Protocol); kinds[kind] < samples {
			kinds[kind]++
			first = append(first, f)
		}
		h.ask(hook, p, s)
	})
	if len(first) == 0 {
		return // no class of this family
	}
	h.states(hook, s, first)
	h.open(hook, s, first[0])
	h.exempt(hook, s, first[0])
	h.boundaries(hook, s, first[0])
}

// ungoverned is how many flows show that nothing governs at an interface.
const ungoverned = 100

// samples is how many flows of each protocol, verdict and kind of address are asked in
// all states.
const samples = 2

// packet makes the packet of a flow that begins a connection. Where packets are routed
// it asks the hook alone, so that what others drop does not hide what it says.
func (h *hookVerifier) packet(hook policy.Hook, s site, f policy.Flow) dataplane.HookPacket {
	p := dataplane.HookPacket{Flow: f, Alone: hook.Forward()}
	if hook.Direction() == policy.Ingress {
		p.In = s.name
	} else {
		p.Out = s.name
	}
	if hook == policy.HookForwardIn {
		p.Out = h.sites[0].name
	}
	if hook == policy.HookForwardOut {
		p.In = h.sites[len(h.sites)-2].name
	}
	if hook.Raw() {
		p.State = dataplane.PacketInvalid // as all packets before connection tracking
	}
	return p
}

// states asks flows in every state of their connection, and with the mark.
func (h *hookVerifier) states(hook policy.Hook, s site, flows []policy.Flow) {
	for _, f := range flows {
		for _, state := range []dataplane.PacketState{
			dataplane.PacketNew, dataplane.PacketEstablished, dataplane.PacketRelated, dataplane.PacketInvalid, dataplane.PacketUntracked,
		} {
			for _, mark := range []uint32{0, h.mark, ^h.mark} {
				for _, late := range []bool{false, true} {
					p := h.packet(hook, s, f)
					if p.Mark, p.MidStream = mark, late; !hook.Raw() {
						p.State = state
					}
					h.ask(hook, p, s)
					if p.Alone && f.Src != f.Dst {
						p.Alone = false // and everybody together
						h.ask(hook, p, s)
					}
				}
			}
		}
	}
}

// open asks at failsafes and about neighbour discovery, and just beside them.
func (h *hookVerifier) open(hook policy.Hook, s site, f policy.Flow) {
	list := slices.Concat(h.settings.FailsafeIn, h.settings.FailsafeOut, h.kernel.Failsafes())
	for _, safe := range list {
		for _, port := range []uint16{safe.Port - 1, safe.Port, safe.Port + 1} {
			there, back := f, f
			there.Protocol, there.DstPort, there.SrcPort = safe.Protocol, port, ephemeralPort
			back.Protocol, back.SrcPort, back.DstPort = safe.Protocol, port, ephemeralPort
			for _, x := range []policy.Flow{there, back} {
				x.ICMPType, x.ICMPCode = 0, 0
				h.ask(hook, h.packet(hook, s, x), s)
			}
		}
	}
	for _, x := range control(f) {
		h.ask(hook, h.packet(hook, s, x), s)
	}
}

// control returns what looks like control traffic, from the source of a flow to its destination and to a group:
// neighbour discovery, MLD and IGMP, and what is just beside them.
func control(f policy.Flow) (list []policy.Flow) {
	group, protocol, types := netip.MustParseAddr("224.0.0.22"), policy.Protocol(2), []uint8{0x11, 0x12, 0x16, 0x17, 0x22} // RFC 3376, 4 and 7
	if f.Src.Is6() {
		group, protocol, types = netip.MustParseAddr("ff02::16"), policy.ICMPv6, []uint8{129, 130, 131, 132, 133, 134, 135, 136, 137, 142, 143, 144}
	}
	for _, typ := range types {
		for _, dst := range []netip.Addr{f.Dst, group} {
			list = append(list, policy.Flow{Src: f.Src, Dst: dst, Protocol: protocol, ICMPType: typ})
		}
	}
	return list
}

// ephemeralPort is a source port that rules seldom name.
const ephemeralPort = 49152

// exempt asks about each of the node's own pods at the other end, and about packets
// from their interfaces with addresses that are not theirs.
func (h *hookVerifier) exempt(hook policy.Hook, s site, f policy.Flow) {
	own, peer := dataplane.LocalSide(hook, f)
	to := func(a netip.Addr) policy.Flow {
		x := policy.Flow{Src: a, Dst: own, Protocol: policy.TCP, SrcPort: ephemeralPort, DstPort: 80}
		if hook.Direction() == policy.Egress {
			x.Src, x.Dst = own, a
		}
		return x
	}
	program := h.Tables.Program(h.attachment(hook, s, policy.FamilyOf(own)).ProgramFor(h.Tables.Class(own)))
	h.bound = true
	for _, l := range h.Tables.Locals() {
		if l.Addr.Is4() != own.Is4() || l.Addr == own {
			continue
		}
		x := to(l.Addr)
		h.ask(hook, h.packet(hook, s, x), s)
		for _, safe := range h.settings.Failsafes(hook.Direction()) { // which are for others, or for pods too
			x.Protocol, x.DstPort = safe.Protocol, safe.Port
			h.ask(hook, h.packet(hook, s, x), s)
		}
		if program == nil {
			continue
		}
		// What policy would say of it, and does not: both must be there to be told apart.
		said := map[bool]bool{}
		for _, g := range h.Tables.Row(program.RowFor(h.Tables.Class(l.Addr))) {
			if !said[g.Allow] {
				said[g.Allow] = true
				h.ask(hook, h.packet(hook, s, corner(x, g, true)), s)
			}
		}
	}
	h.bound = false
	if hook.Forward() || hook == policy.HookInput {
		h.governedPods(hook, s, own, to)
	}
	if hook != policy.HookRawIn {
		return
	}
	if links := h.kernel.Links(); len(links) > 0 && peer.IsValid() {
		p := h.packet(hook, s, to(peer))
		p.Link = links[0]
		h.ask(hook, p, s)
		p.State = dataplane.PacketEstablished
		h.ask(hook, p, s)
	}
}

// governedPods asks about one of the node's pods of each kind of policy in all states of a connection, and about
// what policy never judges: where no host endpoint governs, that is all that these rules are for.
func (h *hookVerifier) governedPods(hook policy.Hook, s site, own netip.Addr, to func(netip.Addr) policy.Flow) {
	asked := map[[3]dataplane.ProgramID]bool{}
	for _, l := range h.Tables.Locals() {
		kind := [3]dataplane.ProgramID{l.Egress, l.Ingress, l.ToNode}
		if l.Addr.Is4() != own.Is4() || l.Addr == own || asked[kind] || kind == [3]dataplane.ProgramID{} {
			continue
		}
		asked[kind] = true
		there, back := to(l.Addr), to(l.Addr)
		if back.Src, back.Dst = back.Dst, back.Src; hook == policy.HookInput {
			back = there
		}
		var list []policy.Flow
		for _, f := range []policy.Flow{there, back} {
			for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP} {
				f.Protocol = p
				list = append(list, f)
			}
		}
		h.states(hook, s, list)
		for _, f := range slices.Concat(control(there), control(back)) {
			p := h.packet(hook, s, f)
			p.Alone = false
			h.ask(hook, p, s)
		}
	}
}

// boundaries asks where the kernel's own sets and rules may change a verdict.
func (h *hookVerifier) boundaries(hook policy.Hook, s site, f policy.Flow) {
	h.bound = true
	defer func() { h.bound = false }()
	for _, p := range h.bounds.Points {
		h.ask(hook, h.packet(hook, s, withL4(f, p)), s)
	}
	own, _ := dataplane.LocalSide(hook, f)
	points := h.bounds.Points
	if len(points) == 0 {
		points = []policy.Flow{{Protocol: policy.TCP, DstPort: 80, SrcPort: ephemeralPort}}
	}
	for n := range min(len(h.bounds.Addrs), maxAsked) {
		a := h.bounds.Addrs[n]
		if a.Is4() != own.Is4() || a == own {
			continue
		}
		x := policy.Flow{Src: a, Dst: own}
		if hook.Direction() == policy.Egress {
			x.Src, x.Dst = own, a
		}
		h.ask(hook, h.packet(hook, s, withL4(x, points[n%len(points)])), s)
	}
}
