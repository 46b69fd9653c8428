package flags

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// NodeAddresses is --node-address, and what agents report: which addresses nodes have beside those that their status
// says. Policy towards a pod's own node is for all that the node's kernel delivers to itself.
type NodeAddresses struct {
	texts   []string
	given   []nodeAddress
	err     error
	reports map[string]*v1alpha1.Report // by node
}

type nodeAddress struct {
	node string // empty: every node
	addr netip.Addr
}

// Register adds the flag.
func (o *NodeAddresses) Register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.texts, "node-address", nil,
		"NODE=ADDRESS[,ADDRESS...] that a node has beside those of its status and of its agent's report, such as that of a bridge or of a node-local DNS cache; *=169.254.20.10 for all nodes (repeatable)")
}

// Parse reads the flag.
func (o *NodeAddresses) Parse() error {
	o.given = nil
	for _, text := range o.texts {
		node, list, ok := strings.Cut(text, "=")
		if !ok || node == "" || list == "" {
			return fmt.Errorf("--node-address %q: expected NODE=ADDRESS, such as node-1=169.254.20.10", text)
		}
		if node == "*" {
			node = ""
		}
		for _, one := range strings.Split(list, ",") {
			a, err := netip.ParseAddr(strings.TrimSpace(one))
			if err != nil || a.Zone() != "" {
				return fmt.Errorf("--node-address %q: %q is no IP address", text, one)
			}
			o.given = append(o.given, nodeAddress{node, a.Unmap()})
		}
	}
	return nil
}

// Err returns what was wrong with the flag when Add knew the nodes.
func (o *NodeAddresses) Err() error { return o.err }

// Add gives addresses to the nodes of a model: those of the flag, and those that reports among the resources say, which
// may have nodes that are new. A node of the flag that the model does not have, and no endpoint is on, is an error: see Err.
func (o *NodeAddresses) Add(m *policy.Model, resources []store.Resource) {
	o.reports = reportsIn(resources)
	if len(o.given) == 0 && len(o.reports) == 0 {
		return
	}
	nodes := map[string]*policy.Node{}
	for _, n := range m.Nodes {
		nodes[n.Name] = &policy.Node{Name: n.Name, Addrs: slices.Clone(n.Addrs), Labels: n.Labels}
	}
	for _, ep := range m.Endpoints {
		if ep.Node != "" && nodes[ep.Node] == nil {
			nodes[ep.Node] = &policy.Node{Name: ep.Node}
		}
	}
	o.addReported(m, nodes)
	names := slices.Sorted(maps.Keys(nodes))
	for _, g := range o.given {
		if g.node != "" && nodes[g.node] == nil {
			o.err = fmt.Errorf("--node-address: there is no node %q%s", g.node, suggest.DidYouMean(g.node, names))
		}
		for _, name := range names {
			if g.node == "" || g.node == name {
				addTo(nodes[name], g.addr)
			}
		}
	}
	m.Nodes = nil
	for _, name := range names {
		m.Nodes = append(m.Nodes, nodes[name])
	}
}

func addTo(n *policy.Node, a netip.Addr) {
	if !slices.Contains(n.Addrs, a) {
		n.Addrs = append(n.Addrs, a)
	}
}
