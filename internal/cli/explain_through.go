package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// toHostFlag is --endpoint-to-host.
type toHostFlag struct {
	toHost string

	endpointToHost policy.Action // parsed
}

func (o *toHostFlag) register(f *pflag.FlagSet) {
	f.StringVar(&o.toHost, "endpoint-to-host", "Accept", "what agents do with connections of pods to their own host: Accept, Drop or Return")
}

func (o *toHostFlag) parse() error {
	switch strings.ToLower(o.toHost) {
	case "accept":
		o.endpointToHost = policy.Allow
	case "drop":
		o.endpointToHost = policy.Deny
	case "return":
		o.endpointToHost = policy.Pass
	default:
		return fmt.Errorf("--endpoint-to-host %s: expected Accept, Drop or Return", o.toHost)
	}
	return nil
}

// inModel returns the model with what agents have by their flags.
func (o *toHostFlag) inModel(m *policy.Model) *policy.Model {
	v := *m
	v.Host.FailsafeIn, v.Host.FailsafeOut = policy.DefaultFailsafes()
	v.Host.EndpointToHost = o.endpointToHost
	return &v
}

// passThrough has the connection routed on by the node of --through. What HostEndpoint
// is named by host/NAME, it comes in by that one's interface and leaves by it, where
// --interface does not say otherwise.
func (o *hostFlow) passThrough(x *explanation, r resolver) error {
	if o.through == "" {
		return nil
	}
	node, iface, err := r.router(o.through)
	if err != nil {
		return err
	}
	for _, e := range []end{x.src, x.dst} {
		if r.nodeOf(e.addr) == node {
			return fmt.Errorf("%s is on that node, which is asked in any case: leave --through out", e.name)
		}
	}
	x.flow.Router = node
	if x.flow.In, x.flow.Out = o.in, o.out; o.iface == "" {
		x.flow.In, x.flow.Out = iface, iface
	}
	if !r.isGoverned(node) {
		x.notes = append(x.notes, fmt.Sprintf("node %s has no HostEndpoint, so nothing is asked of what it routes on", node))
	}
	return nil
}

// noteUnused notes that --interface makes no difference.
func (o *hostFlow) noteUnused(x *explanation, r resolver) {
	nodes := []string{x.flow.Router, r.nodeOf(x.src.addr), r.nodeOf(x.dst.addr)}
	if o.beforeDNAT.IsValid() {
		nodes = append(nodes, r.nodeOf(o.beforeDNAT.Addr()))
	}
	if o.iface != "" && !slices.ContainsFunc(nodes, r.isGoverned) {
		x.notes = append(x.notes, "no host on the way is known to have a HostEndpoint, so --interface makes no difference")
	}
}

// nodeOf returns the node that an address is on, or that has it; empty if none is known.
func (r resolver) nodeOf(a netip.Addr) string {
	index := evaluate.Plain(r.model)
	if holder := index.Holder(a); holder != nil && holder.Host == nil {
		return holder.Node
	}
	return index.NodeAt(a)
}

// isGoverned reports whether a node has host endpoints.
func (r resolver) isGoverned(node string) bool {
	return node != "" && slices.ContainsFunc(r.model.Endpoints, func(ep *policy.Endpoint) bool { return ep.Host != nil && ep.Node == node })
}

// router returns the node that node/NAME or host/NAME stands for, and the interface of
// the HostEndpoint in the latter case.
func (r resolver) router(text string) (node, iface string, err error) {
	kind, name, _ := strings.Cut(text, "/")
	var known []string
	switch kind {
	case "node":
		for _, n := range r.model.Nodes {
			known = append(known, "node/"+n.Name)
			if n.Name == name {
				return name, "", nil
			}
		}
		for _, ep := range r.model.Endpoints {
			if ep.Host != nil || ep.Node != "" {
				known = append(known, "node/"+ep.Node)
				if ep.Node == name {
					return name, "", nil
				}
			}
		}
		return "", "", fmt.Errorf("no such node%s", suggest.Several(text, known))
	case "host":
		for _, ep := range r.model.Endpoints {
			if ep.Host == nil {
				continue
			}
			known = append(known, "host/"+ep.Key.Name)
			if ep.Key.Name == name {
				return ep.Node, ep.Interface, nil
			}
		}
		return "", "", fmt.Errorf("no such HostEndpoint%s", suggest.Several(text, known))
	}
	return "", "", fmt.Errorf("expected node/NAME, or host/NAME for a HostEndpoint")
}

// through names the node that routes the connection on, for the first line.
func (p *explainPrinter) through() string {
	if p.flow.Router == "" {
		return ""
	}
	return " through node/" + p.flow.Router
}
