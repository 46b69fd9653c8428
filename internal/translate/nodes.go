package translate

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// labelNodes is carried by sets that stand for the nodes which a rule selects; its
// value is the selector. A colon can stand neither in a label's key nor in a selector.
const labelNodes = "rule:nodes"

// nodesEntities returns what a rule selects that means the nodes with some labels, and
// the set that it selects, which goes to parsed.sets. Its nets are filled in while
// the rule is in force, and follow the nodes: the rule never changes.
func nodesEntities(s *selector.Selector, text string) (*policy.PeerSet, *policy.Set) {
	name := s.String()
	if most := 120; len(name) > most {
		name = fmt.Sprintf("%s...#%x", name[:most], sha256.Sum256([]byte(name)))
	}
	set := &policy.Set{
		Key:      policy.Key{Kind: policy.KindNodes, Name: name},
		Labels:   selector.NewLabels(map[string]string{labelNodes: s.String()}),
		Internal: true,
	}
	return &policy.PeerSet{Selector: selector.Equals(labelNodes, s.String()), Internal: true, AsWritten: text}, set
}

// nodeTable holds the nodes that there are.
type nodeTable struct {
	byName  map[string]*policy.Node
	changed bool // in this step
}

// replaceNode brings the table to what the object of a node now means.
func (t *Translator) replaceNode(o *object) {
	if o.key.Kind != policy.KindNode {
		return
	}
	t.nodeTable.changed = true
	if n, ok := o.means.(*policy.Node); ok {
		t.nodeTable.byName[o.key.Name] = n
	} else {
		delete(t.nodeTable.byName, o.key.Name)
	}
}

// Nodes returns the nodes that there are, sorted by name.
func (t *Translator) Nodes() []*policy.Node { return t.nodes() }

// settleNodes brings the sets that stand for nodes to the nodes there are: those that
// came into use in this step, and all of them if nodes have changed.
func (t *Translator) settleNodes() {
	if t.nodeTable.changed {
		for key := range t.rules.inUse {
			t.settleNodesOf(key)
		}
	} else {
		for key := range t.rules.touched {
			t.settleNodesOf(key)
		}
	}
	t.nodeTable.changed = false
}

func (t *Translator) settleNodesOf(key policy.Key) {
	held := t.rules.inUse[key]
	if key.Kind != policy.KindNodes || held == nil {
		return
	}
	if nets := t.netsOfNodes(held.set); !slices.Equal(nets, held.set.Nets) {
		changed := *held.set
		changed.Nets = nets
		t.rules.renew(&changed)
	}
}

// netsOfNodes returns the addresses of the nodes that a set stands for, sorted.
// Offline, nodes that only pods tell of have no labels.
func (t *Translator) netsOfNodes(set *policy.Set) []netip.Prefix {
	text, _ := set.Labels.Get(labelNodes)
	s, err := selector.Parse(text)
	if err != nil { // it was printed by a selector
		return nil
	}
	var nets []netip.Prefix
	add := func(addrs []netip.Addr) {
		for _, a := range addrs {
			nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, n := range t.nodeTable.byName {
		if s.Match(n.Labels) {
			add(n.Addrs)
		}
	}
	if t.opts.Offline && s.Match(nil) {
		for _, n := range t.nodes() {
			if t.nodeTable.byName[n.Name] == nil {
				add(n.Addrs)
			}
		}
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(nets)
}
