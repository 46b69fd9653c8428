package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// hostContent is all that a table has of host endpoints.
type hostContent struct {
	hooks    hostHooks
	bases    []hostBaseChain
	chains   map[string]codec.ChainRules // all others but those of switches
	sets     map[string]hostSet          // likewise
	points   map[dataplane.PointKey]*classSwitch
	programs map[dataplane.ProgramID]*hostProgram // those that the points refer to
}

type hostBaseChain struct {
	codec.ChainSpec
	rules []codec.Rule
}

type hostSet struct {
	codec.SetSpec
	order    codec.DeleteOrder
	elements map[codec.Element]bool
}

func newHostContent() *hostContent {
	return &hostContent{
		hooks: hostHooks{}, chains: map[string]codec.ChainRules{}, sets: map[string]hostSet{},
		points: map[dataplane.PointKey]*classSwitch{}, programs: map[dataplane.ProgramID]*hostProgram{},
	}
}

func (c *hostContent) AddSet(s codec.SetSpec, order codec.DeleteOrder) {
	c.sets[s.Name] = hostSet{s, order, map[codec.Element]bool{}}
}

func (c *hostContent) AddChain(x codec.ChainRules) { c.chains[x.Name] = x }

func (c *hostContent) add(set string, e codec.Element) { c.sets[set].elements[e] = true }

// emit hands out all of it.
func (c *hostContent) emit(l *lookupTables, out sink) {
	for _, p := range c.programs {
		p.emit(l, out)
	}
	for _, p := range c.points {
		p.emit(l, out)
	}
	for _, s := range c.sets {
		out.AddSet(s.SetSpec)
		for e := range s.elements {
			out.AddElement(s.Name, e)
		}
	}
	for _, x := range c.chains {
		out.AddChain(x)
	}
	for _, b := range c.bases {
		out.AddBaseChain(b.ChainSpec, b.rules)
	}
}

func (c *hostContent) chain(name string) (codec.ChainRules, bool) {
	x, ok := c.chains[name]
	return x, ok
}
