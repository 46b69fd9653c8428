package evaluate

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// The way of a packet as data: which policy it meets, in what order, and what it
// carries there. paths is the only table of it: who else has to know a packet's way
// (the kernel's live connections, who can reach whom, verification) asks [NodePath]
// or [Route]. A further stop is a further entry of paths.
//
//   - A route passes at most three nodes, each once: the source's, one that routes
//     the packet on, and the destination's. Within one node it passes that alone.
//   - At the hooks before the filter ([policy.Hook.BeforeFilter]) a packet carries the
//     destination that was asked for, until a node has translated it.
//   - What a verdict there skips is skipped on the same node only, and never a
//     workload's own policy: see [Visit.Skips].

// Location is where an end of a connection is, as one node sees it.
type Location uint8

// The locations.
const (
	Elsewhere  Location = iota // neither the node nor on it
	NodeItself                 // the node's own processes
	Workload                   // a workload on the node
)

// Stop is a place on the way through a node at which policy is asked.
type Stop struct {
	Hook      policy.Hook // of the node's host endpoints; 0: the workload's own policy
	Direction policy.Direction
	// ToOwnNode is of stops on a workload's way to its own node. At the workload itself only
	// policies that decide about that ([policy.Policy.DecidesToOwnNode]) have the end of their
	// tier act; at the node's hook [policy.HostSettings.EndpointToHost] decides, and no host endpoint.
	ToOwnNode bool
}

// AtEnd reports whether the stop is an end of the connection: what is decided there is
// the decision of the source, or of the destination.
func (s Stop) AtEnd() bool {
	return s.Hook == 0 || s.Hook == policy.HookInput || s.Hook == policy.HookOutput
}

// NodePath returns where a node asks about a packet, in the order in which the packet
// gets there. The list is shared: read only.
func NodePath(from, to Location) []Stop { return paths[from][to] }

var (
	rawIn, preDNAT, input = at(policy.HookRawIn), at(policy.HookPreDNAT), at(policy.HookInput)
	forwardIn, forwardOut = at(policy.HookForwardIn), at(policy.HookForwardOut)
	rawOut, output        = at(policy.HookRawOut), at(policy.HookOutput)
	egress, ingress       = Stop{Direction: policy.Egress}, Stop{Direction: policy.Ingress}
	egressToNode          = Stop{Direction: policy.Egress, ToOwnNode: true}
	endpointToHost        = Stop{policy.HookInput, policy.Ingress, true}
)

func at(h policy.Hook) Stop { return Stop{Hook: h, Direction: h.Direction()} }

// paths are the ways through a node: [from][to].
var paths = [3][3][]Stop{
	Elsewhere: {
		Elsewhere:  {rawIn, preDNAT, forwardIn, forwardOut},
		NodeItself: {rawIn, preDNAT, input},
		Workload:   {rawIn, preDNAT, forwardIn, ingress, forwardOut},
	},
	NodeItself: {
		Elsewhere:  {rawOut, output},
		NodeItself: {}, // it never leaves the node
		Workload:   {}, // what the node itself sends always reaches its own workloads
	},
	Workload: {
		Elsewhere:  {preDNAT, forwardIn, egress, forwardOut},
		NodeItself: {preDNAT, egressToNode, endpointToHost},
		Workload:   {preDNAT, forwardIn, egress, ingress, forwardOut},
	},
}

// Visit is a stop of one packet: who is asked there, and about what.
type Visit struct {
	Stop
	Node string // empty where the node of a workload is not known
	// Endpoint is whose policy is asked; nil where EndpointToHost denies.
	Endpoint *policy.Endpoint
	// Interface is that of the node by which the packet comes in or leaves; empty
	// where it is not known.
	Interface string
	// Dst and DstPort are what the packet carries there: the destination, or what was
	// asked for before that was translated.
	Dst     netip.Addr
	DstPort uint16
}

// Skips reports whether a packet with a verdict here is not asked about at a later
// visit.
func (v *Visit) Skips(verdict policy.Action, later *Visit) bool {
	return v.Hook != 0 && later.Hook != 0 && !later.ToOwnNode && v.Node == later.Node && v.Hook.Skips(verdict, later.Hook)
}

// Route returns the visits of the first packet of a connection, in their order: those
// at which somebody may decide. None are of a connection of an address with itself, nor of
// what policy never judges.
func Route(index Index, f policy.Flow) []Visit {
	c := newConnection(index, f, false)
	return c.route(nil)
}

// longestRoute is how many visits there are at most.
const longestRoute = 13

// route appends the visits to a list.
func (c *connection) route(list []Visit) []Visit {
	if c.Src == c.Dst || c.IsControlTraffic() {
		return list
	}
	w := walk{connection: c}
	if hosts, ok := c.index.(HostIndex); ok && hosts.HasHosts() {
		w.hosts = hosts
	}
	src, from := w.locate(c.Src, c.holders[policy.Egress])
	dst, to := w.locate(c.Dst, c.holders[policy.Ingress])
	// An address that several nodes have (of a node-local cache, say) is that of the one at hand.
	if from == Workload && to == NodeItself && dst != src && c.index.OnNode(c.holders[policy.Egress], c.Dst) {
		dst = src
	}
	if to == Workload && from == NodeItself && src != dst && c.index.OnNode(c.holders[policy.Ingress], c.Src) {
		src = dst
	}
	if src != "" && src == dst {
		return w.pass(list, node{name: src, in: c.In}, from, to)
	}
	first, between, last := w.nodes(src, dst)
	if from != Elsewhere {
		list = w.pass(list, first, from, Elsewhere)
	}
	if between.name != "" && between.name != src {
		list = w.pass(list, between, Elsewhere, Elsewhere)
	}
	if to != Elsewhere {
		list = w.pass(list, last, Elsewhere, to)
	}
	return list
}

// walk is a connection whose route is looked for.
type walk struct {
	*connection
	hosts HostIndex // nil where no host has anything to say
}

// node is a node on the way.
type node struct {
	name       string
	in, out    string // the interfaces by which the packet comes in and leaves; empty where not known
	translated bool   // another node before it has translated the destination
}

// nodes returns the nodes of the two ends and the one between them, which is named, or
// was asked for the destination before it was translated; without a name there is none.
func (w *walk) nodes(src, dst string) (first, between, last node) {
	first, last = node{name: src, out: w.Out}, node{name: dst, in: w.In}
	switch {
	case w.Router != "": // then the interfaces are that one's
		between = node{name: w.Router, in: w.In, out: w.Out}
		first.out, last.in = "", ""
	case w.hosts != nil && w.PreNATDst.IsValid():
		between = node{name: w.hosts.NodeAt(w.PreNATDst.Unmap()), in: w.In}
	}
	if between.name == dst {
		between.name = ""
	}
	if between.name != "" {
		last.in, last.translated = "", true
	}
	return first, between, last
}

// locate returns the node that an address of the connection is on, and where there.
func (w *walk) locate(a netip.Addr, holder *policy.Endpoint) (string, Location) {
	switch {
	case holder != nil && holder.Host == nil:
		return holder.Node, Workload
	case w.hosts != nil:
		return located(w.hosts.NodeAt(a))
	}
	return "", Elsewhere
}

func located(node string) (string, Location) {
	if node == "" {
		return "", Elsewhere
	}
	return node, NodeItself
}

// Locate returns the node that an address is on, and where there: one of its workloads
// has it, or it itself. Of an address elsewhere there is no node.
func Locate(index Locator, a netip.Addr) (node string, at Location) {
	if holder := index.Holder(a); holder != nil && holder.Host == nil {
		return holder.Node, Workload
	}
	return located(index.NodeAt(a))
}

// pass appends the visits on one node.
func (w *walk) pass(list []Visit, n node, from, to Location) []Visit {
	for _, s := range NodePath(from, to) {
		if s.Hook != 0 && (w.hosts == nil || n.name == "") {
			continue
		}
		v := Visit{Stop: s, Node: n.name, Interface: n.in, Dst: w.Dst, DstPort: w.DstPort}
		switch {
		case s.Hook != 0 && s.Direction == policy.Ingress && from == Workload:
			v.Interface = Link(w.holders[policy.Egress])
		case s.Hook != 0 && s.Direction == policy.Egress && to == Workload:
			v.Interface = Link(w.holders[policy.Ingress])
		case s.Direction == policy.Egress:
			v.Interface = n.out
		}
		if s.Hook.BeforeFilter() && !n.translated && w.PreNATDst.IsValid() {
			v.Dst, v.DstPort = w.PreNATDst.Unmap(), w.PreNATDstPort
		}
		var decides bool
		if v.Endpoint, decides = w.asked(&v); decides {
			list = append(list, v)
		}
	}
	return list
}

// asked returns whose policy is asked at a visit, and whether anything may decide there.
func (w *walk) asked(v *Visit) (*policy.Endpoint, bool) {
	own, peer := w.Src, w.Dst
	if v.Direction == policy.Ingress {
		own, peer = v.Dst, w.Src
	}
	switch {
	case v.Hook == 0 && v.Direction == policy.Egress:
		ep := w.holders[policy.Egress]
		v.ToOwnNode = v.ToOwnNode || w.index.OnNode(ep, peer) // the index may not know where addresses are
		return ep, true
	case v.Hook == 0:
		ep := w.holders[policy.Ingress]
		return ep, !w.index.OnNode(ep, peer)
	case v.ToOwnNode:
		return nil, w.hosts.HostSettings().EndpointToHost == policy.Deny
	}
	ep := w.hosts.HostAt(v.Node, v.Interface, own)
	return ep, ep != nil
}

// Link returns the interface by which what a workload sends comes in to its node. One
// that is not known is none of those that have a host endpoint of their own.
func Link(ep *policy.Endpoint) string {
	if ep.Interface == "" {
		return policy.AllInterfaces
	}
	return ep.Interface
}
