package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"cmp"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Host endpoints have chains of their own, which are there only while some host
// endpoint governs at their hook. For the hook input ("host-input") and a family:
//
//	chain host-input   (base) not from lo; source check of pods; established; neighbour
//	                   discovery; what an early hook has let by; --endpoint-to-host
//	                   Drop; failsafes; by family
//	chain host-input4  from the node's own pods: --endpoint-to-host Accept
//	                   iifname vmap @host-input4-links (goto host-input4-at-eth0)
//	                   goto host-input4-all (the endpoint of all other interfaces)
//	chain host-input4-at-eth0   jump strict; a class switch (classswitch.go) by the local
//	                   side, to a program (hostprogram.go)
//
// Forwarded packets come here from forward4: "jump host-forward-in4" before pods
// are asked, "jump host-forward-out4" after. The two raw hooks and the one before
// DNAT are base chains of their own. There an Allow sets a bit of the packet mark,
// which the later hooks of the same host let by: see skipRules.
//

// hostBase says where a hook of host endpoints is in the kernel.
type hostBase struct {
	hook     policy.Hook
	kernel   uint32
	priority int32
}

// Conntrack is at -200, DNAT at -100.
const (
	rawPriority     = -300
	preDNATPriority = -150
)

var hostBases = []hostBase{
	{policy.HookRawIn, hookPrerouting, rawPriority},
	{policy.HookPreDNAT, hookPrerouting, preDNATPriority},
	{policy.HookInput, hookInput, priority},
	{policy.HookRawOut, hookOutput, rawPriority},
	{policy.HookOutput, hookOutput, priority},
}

func hostName(h policy.Hook) string              { return "host-" + h.String() }
func hostFamily(h policy.Hook, f int) string     { return hostName(h) + familyDigit[f] }
func hostLinks(h policy.Hook, family int) string { return hostFamily(h, family) + "-links" }

// pointName names the chain of a point. An interface's name may hold what a chain's
// may not, and '-', by which the parts of a chain's name are told apart.
func pointName(k dataplane.PointKey) string {
	family := 0
	if k.Family == policy.IPv6 {
		family = 1
	}
	if k.Interface == policy.AllInterfaces {
		return hostFamily(k.Hook, family) + "-all"
	}
	name := ""
	for _, c := range []byte(k.Interface) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			name += string(rune(c))
		default:
			name += fmt.Sprintf("_%02x", c)
		}
	}
	return hostFamily(k.Hook, family) + "-at-" + name
}

func failsafeSet(dir policy.Direction) string {
	return [2]string{policy.Egress: "host-failsafe-out", policy.Ingress: "host-failsafe-in"}[dir]
}

// hostSide returns the field of the local side at a hook.
func hostSide(h policy.Hook) side {
	if h.Direction() == policy.Egress {
		return source
	}
	return destination
}

// hostHooks says at which hooks host endpoints govern.
type hostHooks map[policy.Hook]bool

// hostHooksOf finds the hooks that must be there.
func hostHooksOf(s *dataplane.State, settings *dataplane.HostSettings) hostHooks {
	hooks := hostHooks{}
	for _, p := range s.Points() {
		if p.Governs() {
			hooks[p.Hook] = true
		}
	}
	if settings.EndpointToHost == policy.Deny {
		hooks[policy.HookInput] = true
	}
	return hooks
}

// skips reports whether some hook lets packets skip what follows.
func (h hostHooks) skips() bool {
	return h[policy.HookRawIn] || h[policy.HookRawOut] || h[policy.HookPreDNAT]
}

func ifName(h policy.Hook) codec.Expr {
	if h.Direction() == policy.Egress {
		return codec.Expr{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaOIFName}
	}
	return codec.Expr{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIFName}
}

// ifKey is an interface's name as the kernel compares it.
func ifKey(name string) string {
	var key [codec.IfNameLen]byte
	copy(key[:], name)
	return string(key[:])
}

// baseRules are those of a hook's base chain.
func (r *hostRender) baseRules(h policy.Hook) []codec.Rule {
	rules := []codec.Rule{when([]codec.Expr{ifName(h), is([]byte(ifKey("lo"))...)}, returns)}
	if h == policy.HookInput {
		rules = append(rules, when(fromLink(), jumpTo(sourceChain)))
	}
	if !h.Raw() {
		rules = append(rules, when(hasState(codec.StateEstablished|codec.StateRelated), returns))
	}
	discovery := codec.Expr{Kind: codec.InRange, Register: codec.Reg1, Data: "\x85", To: "\x88"} // 133 to 136
	rules = append(rules, when(join(isProtocol(policy.ICMPv6), []codec.Expr{payload(codec.TransportHeader, 0, 1), discovery}), returns))
	if r.hooks.skips() && !h.BeforeFilter() || h == policy.HookPreDNAT && r.hooks[policy.HookRawIn] {
		rules = append(rules, r.skipRules(h)...)
	}
	if h == policy.HookInput && r.settings.EndpointToHost == policy.Deny {
		for family := range familyDigit { // before failsafes, which are not for pods
			rules = append(rules, denied(fromOwnPods(h, family), fromPodsComment))
		}
	}
	rules = append(rules, r.failsafeRules(h)...)
	for family := range familyDigit {
		rules = append(rules, when(isFamily(family), goTo(hostFamily(h, family))))
	}
	return rules
}

// failsafeRules let by what is always open. Before connection tracking the replies
// to such connections are as well: they go by the other direction's list and the
// source port.
func (r *hostRender) failsafeRules(h policy.Hook) []codec.Rule {
	var rules []codec.Rule
	add := func(dir policy.Direction, offset uint32) {
		if len(r.settings.Failsafes(dir)) == 0 {
			return
		}
		protocol, port := codec.Expr{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto}, payload(codec.TransportHeader, offset, 2)
		port.Register = codec.Reg32Start + 1
		rules = append(rules, when([]codec.Expr{protocol, port, inSet(failsafeSet(dir))}, returns))
	}
	add(h.Direction(), 2)
	if h.Raw() {
		add(1-h.Direction(), 0)
	}
	return rules
}

// skipRules let by what an early hook has allowed. The mark alone says so for
// what comes in; what leaves skips policy only if it is not tracked either.
func (r *hostRender) skipRules(h policy.Hook) []codec.Rule {
	marked := []codec.Expr{
		{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaMark},
		{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 4, Data: string(codec.NativeUint32(r.settings.Mark))},
		isNot(0, 0, 0, 0),
	}
	if h.Direction() == policy.Egress {
		marked = join(marked, hasState(codec.StateUntracked))
	}
	return []codec.Rule{when(marked, returns)}
}

// fromOwnPods matches packets that have a pod of this node at the other end.
func fromOwnPods(h policy.Hook, family int) []codec.Expr {
	return join(isFamily(family), []codec.Expr{address(family, 1-hostSide(h)), inSet(hereName(family))})
}

const fromPodsComment = "a pod to its own host"

// familyRules are those of a hook's chain of one family. What has a pod of this
// node at the other end is not asked: a node always reaches its pods, and what
// pods send to their node is for the administrator to say. Before DNAT they are
// asked like everybody, by the endpoint of all interfaces.
func (r *hostRender) familyRules(h policy.Hook, family int, links bool, all string) []codec.Rule {
	var rules []codec.Rule
	toHost := r.settings.EndpointToHost
	if h != policy.HookPreDNAT && (h != policy.HookInput || toHost != policy.Pass && toHost != policy.Deny) {
		rules = append(rules, when(fromOwnPods(h, family), returns))
	}
	if (h == policy.HookForwardIn || h == policy.HookForwardOut) && r.hooks.skips() {
		rules = append(rules, r.skipRules(h)...)
	}
	if links {
		rules = append(rules, codec.Rule{Exprs: []codec.Expr{ifName(h), bySet(hostLinks(h, family))}})
	}
	if all != "" {
		rules = append(rules, always(goTo(all)))
	}
	return rules
}

// familyChain returns forward4 or forward6.
func (l *layout) familyChain(family int) codec.ChainRules {
	c := familyChain(family)
	hooks := l.host.content.hooks
	if hooks[policy.HookForwardIn] {
		c.Rules = slices.Insert(c.Rules, 0, always(jumpTo(hostFamily(policy.HookForwardIn, family))))
	}
	if hooks[policy.HookForwardOut] {
		c.Rules = append(c.Rules, always(jumpTo(hostFamily(policy.HookForwardOut, family))))
	}
	return c
}

// deciderChain logs, counts and acts. An allowing decider of an early hook marks
// the packet for the later ones, and may have it not be tracked.
func (l *layout) deciderChain(d dataplane.Decider, allow bool) codec.ChainRules {
	c := l.logging.deciderChain(d, allow)
	if !allow || d.Skips == dataplane.SkipsNothing {
		return c
	}
	bit := l.host.settings.Mark
	act := []codec.Expr{
		{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaMark},
		{Kind: codec.BitwiseOr, Register: codec.Reg1, Length: 4, Data: string(codec.NativeUint32(bit))},
		{Kind: codec.MetaStore, Register: codec.Reg1, Key: codec.MetaMark},
	}
	if d.Skips == dataplane.SkipsTracking {
		act = append(act, codec.Expr{Kind: codec.NoTrack})
	}
	last := &c.Rules[len(c.Rules)-1]
	n := len(last.Exprs) - 1
	last.Exprs = slices.Concat(last.Exprs[:n], act, last.Exprs[n:])
	return c
}

// hostLayout is the part of a layout that is of host endpoints.
type hostLayout struct {
	settings dataplane.HostSettings
	content  *hostContent
}

// renderHost derives the chains of host endpoints from the state.
func (l *layout) renderHost() {
	c := renderHost(l.state, &l.host.settings)
	for _, p := range c.points {
		p.settle(&l.lookupTables)
	}
	for id, at := range programsOf(l.state.Points()) {
		c.programs[id] = newHostProgram(l.state, id, at)
		c.programs[id].settle(&l.lookupTables)
	}
	l.host.content = c
}

// withHost gives settings as they are used.
func withDefaults(s dataplane.HostSettings) dataplane.HostSettings {
	s.Mark = cmp.Or(s.Mark, dataplane.DefaultMark)
	return s
}
