package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// hostContent is all that a table has of host endpoints, and of what local endpoints
// send to the host.
type hostContent struct {
	hooks       hostHooks
	bases       []hostBaseChain
	chains      map[string]codec.ChainRules // all others but those of switches
	sets        map[string]hostSet          // likewise
	attachments map[dataplane.AttachmentKey]*classSwitch
	toNode      map[dataplane.ProgramID]bool         // programs of local endpoints towards the host
	programs    map[dataplane.ProgramID]*hostProgram // these, and those that the attachments refer to
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
		attachments: map[dataplane.AttachmentKey]*classSwitch{}, toNode: map[dataplane.ProgramID]bool{}, programs: map[dataplane.ProgramID]*hostProgram{},
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
	for _, p := range c.attachments {
		p.emit(l, out)
	}
	for id := range c.toNode {
		out.AddChain(toNodeRules(id))
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
