package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// hostRender makes the chains and sets of host endpoints from a state. Where class
// switches are among them, they are not settled.
type hostRender struct {
	state    *dataplane.State
	settings *dataplane.HostSettings
	hooks    hostHooks
	out      *hostContent
}

func ifName(h policy.Hook) codec.Expr {
	if h.Direction() == policy.Egress {
		return codec.Expr{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaOIFName}
	}
	return codec.Expr{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIFName}
}

// baseRules are those of a hook's base chain.
func (r *hostRender) baseRules(h policy.Hook) []codec.Rule {
	rules := []codec.Rule{when([]codec.Expr{ifName(h), is([]byte(ifKey("lo"))...)}, returns)}
	if !h.Raw() {
		rules = append(rules, when(hasState(codec.StateEstablished|codec.StateRelated), returns))
	}
	rules = append(rules, hostControl()...)
	if h == policy.HookInput && r.settings.EndpointToHost == policy.Deny {
		for family := range familyDigit { // whatever was allowed before DNAT, and before failsafes, which are not for pods
			rules = append(rules, denied(fromOwnPods(h, family), fromPodsComment))
		}
	}
	if h == policy.HookInput { // as what comes from pods by their own addresses: see familyRules
		rules = append(rules, when(fromNeighbour(linksSet), goTo(neighbourChain)), when(fromNeighbour(bridgesSet), goTo(neighbourChain)))
	}
	if r.hooks.skips() && !h.BeforeFilter() || h == policy.HookPreDNAT && r.hooks[policy.HookRawIn] {
		rules = append(rules, r.skipRules(h)...)
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

// familyRules are those of a hook's chain of one family. What the host itself has to do with
// a pod of this node is not asked about: a node always reaches its pods, and what pods send to
// their node is for their own policy and the administrator to say. Before DNAT, and where
// packets are routed, pods are asked about like everybody, by the endpoint of all interfaces.
func (r *hostRender) familyRules(h policy.Hook, family int, links bool, all string) []codec.Rule {
	var rules []codec.Rule
	if dropped := h == policy.HookInput && r.settings.EndpointToHost == policy.Deny; h != policy.HookPreDNAT && !h.Forward() && !dropped {
		rules = append(rules, when(fromOwnPods(h, family), returns))
	}
	if h.Forward() && r.hooks.skips() {
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
