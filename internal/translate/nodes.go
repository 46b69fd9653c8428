package translate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// nodeTable holds the nodes that there are.
type nodeTable struct {
	byName  map[string]*policy.Node
	changed bool // in this step
}

func newNodeTable() nodeTable { return nodeTable{byName: map[string]*policy.Node{}} }

// replace brings the table to what the object of a node says now.
func (t *nodeTable) replace(o *object) {
	t.changed = true
	if n, ok := o.parsed.(*policy.Node); ok {
		t.byName[o.key.Name] = n
	} else {
		delete(t.byName, o.key.Name)
	}
}

// recomputeSets brings the sets that stand for nodes to the nodes there are: those that
// came into use in this step, and all of them if nodes have changed. implied returns
// the nodes that only other objects tell of; it may be nil.
func (t *nodeTable) recomputeSets(rules *ruleSets, implied func() []*policy.Node) {
	if t.changed {
		for key := range rules.inUse {
			t.recomputeSet(rules, key, implied)
		}
	} else {
		for key := range rules.touched {
			t.recomputeSet(rules, key, implied)
		}
	}
	t.changed = false
}

func (t *nodeTable) recomputeSet(rules *ruleSets, key policy.Key, implied func() []*policy.Node) {
	used := rules.inUse[key]
	if key.Kind != policy.KindNodes || used == nil {
		return
	}
	if nets := t.netsOf(used.set, implied); !slices.Equal(nets, used.set.Nets) {
		changed := *used.set
		changed.Nets = nets
		rules.renew(&changed)
	}
}

// netsOf returns the addresses of the nodes that a set stands for, sorted. Implied nodes
// have no labels.
func (t *nodeTable) netsOf(set *policy.Set, implied func() []*policy.Node) []netip.Prefix {
	text, _ := set.Labels.Get(source.LabelNodes)
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
	for _, n := range t.byName {
		if s.Match(n.Labels) {
			add(n.Addrs)
		}
	}
	if implied != nil && s.Match(nil) {
		for _, n := range implied() {
			if t.byName[n.Name] == nil {
				add(n.Addrs)
			}
		}
	}
	slices.SortFunc(nets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(nets)
}

// nodeSet collects the addresses of nodes by their names.
type nodeSet map[string][]netip.Addr

func (s nodeSet) add(name string, addrs []netip.Addr) {
	if name == "" {
		return
	}
	known := s[name]
	for _, a := range addrs {
		if !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	s[name] = known
}

func (s nodeSet) sorted() []*policy.Node {
	out := make([]*policy.Node, 0, len(s))
	for name, addrs := range s {
		out = append(out, &policy.Node{Name: name, Addrs: addrs})
	}
	slices.SortFunc(out, func(a, b *policy.Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}
