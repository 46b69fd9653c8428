package nft

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// layout is what the kernel's table is made from: the state, and what the
// backend derives from it.
type layout struct {
	state *dataplane.State
	lookupTables
	switches [len(paths)]*classSwitch
	cells    map[cellSet]int  // how many elements the maps have that exist
	capacity map[string]usage // of the sets of addresses
	spare    int              // capacity that they get beyond the usual
	// What is known of interfaces: see antispoofing.go.
	sources map[sourceEntry]bool
	podNets []netip.Prefix
	logging Logging
	host    hostLayout
}

// hostLayout is the part of a layout that is of host endpoints.
type hostLayout struct {
	settings dataplane.HostSettings
	content  *hostContent
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

func (l *layout) forwardRules() []codec.Rule {
	return slices.Concat(
		[]codec.Rule{when(fromLink(), jumpTo(sourceChain)), when(hasState(codec.StateEstablished|codec.StateRelated), accept)},
		unknownRules(l.podNets),
		[]codec.Rule{when(isFamily(0), goTo("forward4")), when(isFamily(1), goTo("forward6"))},
	)
}
