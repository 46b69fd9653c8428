package explain

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/cli/ends"
)

// passThrough has the connection routed on by the node of --through. What HostEndpoint
// is named by host/NAME, it comes in by that one's interface and leaves by it, where
// --interface does not say otherwise.
func (o *hostFlow) passThrough(x *explanation, r ends.Resolver) error {
	if o.through == "" {
		return nil
	}
	node, iface, err := r.Router(o.through)
	if err != nil {
		return err
	}
	for _, e := range []ends.End{x.src, x.dst} {
		if r.NodeOf(e.Addr) == node {
			return fmt.Errorf("%s is on that node, which is asked in any case: leave --through out", e.Name)
		}
	}
	x.flow.Router = node
	if x.flow.In, x.flow.Out = o.in, o.out; o.iface == "" {
		x.flow.In, x.flow.Out = iface, iface
	}
	if !r.HasHostEndpoint(node) {
		x.notes = append(x.notes, fmt.Sprintf("node %s has no HostEndpoint, so nothing is asked of what it routes on", node))
	}
	return nil
}

// noteUnused notes that --interface makes no difference.
func (o *hostFlow) noteUnused(x *explanation, r ends.Resolver) {
	nodes := []string{x.flow.Router, r.NodeOf(x.src.Addr), r.NodeOf(x.dst.Addr)}
	if o.beforeDNAT.IsValid() {
		nodes = append(nodes, r.NodeOf(o.beforeDNAT.Addr()))
	}
	if o.iface != "" && !slices.ContainsFunc(nodes, r.HasHostEndpoint) {
		x.notes = append(x.notes, "no host on the way is known to have a HostEndpoint, so --interface makes no difference")
	}
}

// through names the node that routes the connection on, for the first line.
func (p *explainPrinter) through() string {
	if p.flow.Router == "" {
		return ""
	}
	return " through node/" + p.flow.Router
}
