package nft

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// layout is what the kernel's table is made from: the state, and what the
// backend derives from it.
type layout struct {
	state *dataplane.State
	lookupTables
	switches [len(paths)]*classSwitch
	cells    map[cellSet]int // how many elements the maps have that exist
	// Chains of rows and of exceptions from them, by name: see rowchains.go.
	rowChains map[string]rowChain
	rowMemory rowMemory
	capacity  map[string]usage // of the sets of addresses
	spare     int              // capacity that they get beyond the usual
	// What is known of interfaces, and what is checked by it: see antispoofing.go and guards.go.
	known   dataplane.AntiSpoofing
	sources map[sourceEntry]bool
	closed  map[sourceEntry]bool // interfaces from which nothing link-local may come to the host
	tunnels map[sourceEntry]bool // as many as nodes: made anew only when these change
	allowed allowedSources
	podNets []netip.Prefix
	guards  dataplane.GuardSettings
	logging Logging
	host    hostLayout
}

// hostLayout is the part of a layout that is of host endpoints.
type hostLayout struct {
	settings dataplane.HostSettings
	content  *hostContent
}

// dnsSpare is how much more capacity the sets of addresses get while addresses are
// learned. When they are full the whole table changes hands, and the kernel drops
// every packet that waits in any queue whenever anybody takes a chain off a hook:
// clients ask again, but only after seconds.
const dnsSpare = 8192

// cellsOf returns the cells that a class has on a path, sorted by address.
func (l *layout) cellsOf(set cellSet) []cell {
	var list []cell
	for program := range l.state.Programs() {
		row, ok := program.Cells[set.class]
		if !ok {
			continue
		}
		name, _ := l.cellChain(set.path, row, program.Base)
		for a := range l.state.LocalsOf(program.ID, set.path.dir) {
			if familyOf(a) == set.path.family {
				list = append(list, cell{a, goTo(name)})
			}
		}
	}
	slices.SortFunc(list, func(a, b cell) int { return a.addr.Compare(b.addr) })
	return list
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
