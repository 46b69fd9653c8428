package nft

import (
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// What local endpoints send to the node that they are on is not forwarded. Their egress
// policy is asked about it where the node receives:
//
//	chain input        (base) established connections pass; control traffic; then
//	                   ip saddr vmap @to-node4 (local endpoints: jump to-node-N)
//	chain to-node-N    jump strict; goto host-program-N (hostprogram.go)
//
// The base chain is always there, so that it never comes or goes while packets pass. What
// it lets by meets --endpoint-to-host afterwards, in host-input.

func toNodeChain(id dataplane.ProgramID) string { return fmt.Sprintf("to-node-%d", id) }
func toNodeMap(family int) string               { return "to-node" + familyDigit[family] }

// inputRules are those of the base chain.
func inputRules() []codec.Rule {
	rules := append([]codec.Rule{when(hasState(codec.StateEstablished|codec.StateRelated), accept)}, hostControl()...)
	for family := range familyDigit {
		rules = append(rules, byAddress(family, source, toNodeMap(family)))
	}
	return rules
}

// hostControl lets by what policy never judges, and what routers say to a host: nothing that
// comes here has a router behind it that would send it on.
func hostControl() []codec.Rule {
	return append([]codec.Rule{when(isICMPv6(between(133, 136)), returns)}, groupRules(returns, isFamily)...)
}

// toNodeRules are those of the chain that leads to a program.
func toNodeRules(id dataplane.ProgramID) codec.ChainRules {
	return codec.ChainRules{Name: toNodeChain(id), Order: orderToNode, Rules: []codec.Rule{
		always(jumpTo(strictChain)), always(goTo(hostProgramName(id))),
	}}
}

// touchToNode notes the programs towards the own node of a local address that a delta
// brings, changes or takes away.
func (t *step) touchToNode(l dataplane.Local) {
	if l.ToNode != 0 {
		t.toNode[l.ToNode] = true
	}
}

// toNodeChanges returns the programs that begin or cease to be any local endpoint's
// towards its own node.
func (t *step) toNodeChanges() (changed []dataplane.ProgramID) {
	for id := range t.toNode {
		if _, now := t.b.state.ToNode(id); now != t.b.host.content.toNode[id] {
			changed = append(changed, id)
		}
	}
	return changed
}
