package nft

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostContent is all that a table has of host endpoints.
type hostContent struct {
	hooks    hostHooks
	bases    []hostBaseChain
	chains   map[string]chainRules // all others but those of switches
	sets     map[string]hostSet    // likewise
	points   map[dataplane.PointKey]*classSwitch
	programs map[dataplane.ProgramID]*hostProgram // those that the points refer to
}

type hostBaseChain struct {
	chainSpec
	rules []rule
}

type hostSet struct {
	setSpec
	order    deleteOrder
	elements map[element]bool
}

func newHostContent() *hostContent {
	return &hostContent{
		hooks: hostHooks{}, chains: map[string]chainRules{}, sets: map[string]hostSet{},
		points: map[dataplane.PointKey]*classSwitch{}, programs: map[dataplane.ProgramID]*hostProgram{},
	}
}

func (c *hostContent) addSet(s setSpec, order deleteOrder) {
	c.sets[s.name] = hostSet{s, order, map[element]bool{}}
}

func (c *hostContent) addChain(x chainRules) { c.chains[x.name] = x }

func (c *hostContent) add(set string, e element) { c.sets[set].elements[e] = true }

// emit hands out all of it.
func (c *hostContent) emit(l *lookupTables, out sink) {
	for _, p := range c.programs {
		p.emit(l, out)
	}
	for _, p := range c.points {
		p.emit(l, out)
	}
	for _, s := range c.sets {
		out.addSet(s.setSpec)
		for e := range s.elements {
			out.addElement(s.name, e)
		}
	}
	for _, x := range c.chains {
		out.addChain(x)
	}
	for _, b := range c.bases {
		out.addBaseChain(b.chainSpec, b.rules)
	}
}

// step writes the way from one content to another into a batch, switches aside;
// false if that needs the whole table to be swapped, since base chains come or go.
func (c *hostContent) step(next *hostContent, out *batch) bool {
	if len(c.hooks) != len(next.hooks) || slices.ContainsFunc(policy.Hooks, func(h policy.Hook) bool { return c.hooks[h] != next.hooks[h] }) {
		return false
	}
	for name, s := range next.sets {
		old, ok := c.sets[name]
		if !ok {
			out.addSet(s.setSpec)
		}
		out.stepElements(name, old.elements, s.elements)
	}
	for name, s := range c.sets {
		if _, stays := next.sets[name]; !stays {
			out.delSet(name, s.order)
		}
	}
	names := map[string]bool{}
	for name := range c.chains {
		names[name] = true
	}
	for name := range next.chains {
		names[name] = true
	}
	stepChains(out, names, c.chain, next.chain)
	return true
}

func (c *hostContent) chain(name string) (chainRules, bool) {
	x, ok := c.chains[name]
	return x, ok
}
