package analyze

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Host endpoints decide at the hooks of a node's interfaces: about what the node
// itself sends and receives, and about what is routed through it to and from its
// pods. The engine has a program for each hook; what the hooks of one node say
// together is put together here, as a packet meets them.

// hosts is what there is to know of nodes with host endpoints.
type hosts struct {
	settings *policy.HostSettings
	numbers  map[string]int32              // of nodes with host endpoints, from 1
	on       map[string]evaluate.HostIndex // by node: of its host endpoints only
	nodes    map[netip.Addr]string         // whose own address it is, by the Node objects
	own      map[string][]netip.Addr       // the same by node
	holders  map[netip.Addr]*policy.Endpoint
	points   map[dataplane.AttachmentKey]dataplane.HostAttachment
	links    []linkPoint // those that workloads meet at their links, from 1
	linkOf   map[dataplane.AttachmentKey]int32
	toNode   bool            // some workload's policy decides what it sends to its own node
	routed   map[string]bool // nodes that say something of what comes for workloads, or leaves them
}

// newHosts returns nil for a model without host endpoints.
func newHosts(m *policy.Model, points []dataplane.HostAttachment) *hosts {
	h := &hosts{
		settings: &m.Host, numbers: map[string]int32{}, on: map[string]evaluate.HostIndex{},
		nodes: map[netip.Addr]string{}, own: map[string][]netip.Addr{}, holders: map[netip.Addr]*policy.Endpoint{},
		points: map[dataplane.AttachmentKey]dataplane.HostAttachment{},
		links:  make([]linkPoint, 1), linkOf: map[dataplane.AttachmentKey]int32{}, routed: map[string]bool{},
	}
	byNode := map[string][]*policy.Endpoint{}
	for _, ep := range m.Endpoints {
		if ep.Host == nil {
			continue
		}
		if h.numbers[ep.Node] == 0 {
			h.numbers[ep.Node] = int32(len(h.numbers) + 1)
		}
		byNode[ep.Node] = append(byNode[ep.Node], ep)
	}
	if len(byNode) == 0 {
		return nil
	}
	for node, list := range byNode {
		h.on[node] = evaluate.Plain(&policy.Model{Endpoints: list})
	}
	for _, n := range m.Nodes {
		for _, a := range n.Addrs {
			if _, known := h.nodes[a]; !known {
				h.nodes[a] = n.Name
			}
		}
		h.own[n.Name] = append(h.own[n.Name], n.Addrs...)
	}
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			if old := h.holders[a.Unmap()]; old == nil || policy.CompareHolders(ep, old) < 0 {
				h.holders[a.Unmap()] = ep
			}
		}
	}
	for _, p := range points {
		h.points[p.AttachmentKey] = p
		if slices.Contains(hooksIn[evaluate.Workload], p.Hook) || slices.Contains(hooksOut[evaluate.Workload], p.Hook) {
			h.routed[p.Node] = h.routed[p.Node] || p.Governs()
		}
	}
	return h
}

// Holder and NodeAt make hosts an [evaluate.Locator].

// Holder returns the endpoint that holds an address.
func (h *hosts) Holder(a netip.Addr) *policy.Endpoint { return h.holders[a] }

// NodeAt returns the node whose own address it is.
func (h *hosts) NodeAt(a netip.Addr) string {
	if node := h.nodes[a]; node != "" {
		return node
	}
	if ep := h.holders[a]; ep != nil && ep.Host != nil {
		return ep.Node
	}
	return ""
}

// heldAddrs returns the addresses that are no part of the outside world, beside those
// of endpoints: those of nodes with host endpoints.
func (h *hosts) heldAddrs() []netip.Addr {
	var out []netip.Addr
	if h == nil {
		return nil
	}
	for node := range h.numbers {
		for _, a := range h.own[node] {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// nameOf returns the name of a node.
func (h *hosts) nameOf(number int32) string {
	for name, n := range h.numbers {
		if n == number {
			return name
		}
	}
	return ""
}

// addrsOf returns the addresses by which the host of a host endpoint is reached.
func (h *hosts) addrsOf(ep *policy.Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, a := range slices.Concat(ep.Addrs, h.own[ep.Node]) {
		a = a.Unmap()
		if node, at := evaluate.Locate(h, a); at == evaluate.NodeItself && node == ep.Node && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// setHooks fills in what hosts say at an address, where iface is the interface of
// the host that is meant; empty if none is.
func (r *reach) setHooks(p *enforcement, a netip.Addr, iface string) {
	h := r.hosts
	node, at := evaluate.Locate(h, a)
	index := h.on[node]
	if index == nil {
		return
	}
	host := at == evaluate.NodeItself
	if !host {
		for hook, to := range map[policy.Hook]*int32{policy.HookPreDNAT: &p.preDNAT, policy.HookForwardIn: &p.linkIn, policy.HookForwardOut: &p.linkOut} {
			key, _ := h.atLink(h.holders[a], a, hook)
			*to = h.linkOf[key]
		}
	}
	ep := index.HostAt(node, iface, a)
	// A workload is told from one elsewhere only where its host says something: at
	// any of its addresses, since none of it is asked of what stays on the node.
	if p.host = host; host || p.preDNAT != 0 || p.toNode != 0 || h.routed[node] {
		p.node = h.numbers[node]
	}
	if ep == nil {
		return
	}
	_, class := r.classAt(a)
	programs := func(list []int32, hooks []policy.Hook) {
		for i, hook := range hooks {
			key := dataplane.AttachmentKey{Node: node, Hook: hook, Interface: ep.Key.Name, Family: policy.FamilyOf(a)}
			list[i] = r.byID[h.points[key].ProgramFor(class)]
		}
	}
	programs(p.in[:], hooksIn[at])
	programs(p.out[:], hooksOut[at])
	if !host { // see linkPoint
		p.in[slices.Index(hooksIn[at], policy.HookForwardOut)] = 0
		p.out[slices.Index(hooksOut[at], policy.HookPreDNAT)] = 0
		p.out[slices.Index(hooksOut[at], policy.HookForwardIn)] = 0
	}
}

// linkPoint is what a hook asks at the links of workloads: where their packets come in, by
// the class of the destination; where packets for them leave, by that of the source.
type linkPoint struct {
	base int32
	by   map[int32]int32
}

// setLinks finds what workloads meet at their links: what the endpoint of all
// interfaces says, or that of a workload's own interface.
func (r *reach) setLinks(m *policy.Model) {
	if r.hosts == nil {
		return
	}
	h := r.hosts
	for _, ep := range m.Endpoints {
		if ep.Host != nil || h.on[ep.Node] == nil {
			continue
		}
		for _, a := range ep.Addrs {
			for _, hook := range []policy.Hook{policy.HookPreDNAT, policy.HookForwardIn, policy.HookForwardOut} {
				r.addLink(ep, a.Unmap(), hook)
			}
		}
	}
}

// addLink adds the point that a workload meets at one hook of its link.
func (r *reach) addLink(ep *policy.Endpoint, a netip.Addr, hook policy.Hook) {
	h := r.hosts
	key, ok := h.atLink(ep, a, hook)
	point := h.points[key]
	if !ok || !point.Governs() || h.linkOf[key] != 0 {
		return
	}
	link := linkPoint{r.byID[point.Base], map[int32]int32{}}
	for _, x := range point.Programs {
		link.by[r.classes[x.Class]] = r.byID[x.Program]
	}
	h.links = append(h.links, link)
	h.linkOf[key] = int32(len(h.links) - 1)
}

// atLink returns the point that a workload meets at its link; false if there is none.
func (h *hosts) atLink(ep *policy.Endpoint, a netip.Addr, hook policy.Hook) (dataplane.AttachmentKey, bool) {
	host := h.on[ep.Node].HostAt(ep.Node, evaluate.Link(ep), a)
	if host == nil {
		return dataplane.AttachmentKey{}, false
	}
	return dataplane.AttachmentKey{Node: ep.Node, Hook: hook, Interface: host.Key.Name, Family: policy.FamilyOf(a)}, true
}

// hasRaw reports whether some policy decides before connection tracking.
func (h *hosts) hasRaw() bool {
	for key, point := range h.points {
		if key.Hook.Raw() && point.Governs() {
			return true
		}
	}
	return false
}

// asksBeforeDNAT reports whether workloads meet policy before DNAT.
func (h *hosts) asksBeforeDNAT() bool {
	for key := range h.linkOf {
		if key.Hook == policy.HookPreDNAT {
			return true
		}
	}
	return false
}

// alike reports whether what workloads send to two classes is asked by the same
// programs.
func (h *hosts) alike(a, b int32) bool {
	if h == nil {
		return true
	}
	return !slices.ContainsFunc(h.links, func(p linkPoint) bool { return p.program(a) != p.program(b) })
}

// program returns the program for a class of destinations; 0 for none.
func (p *linkPoint) program(class int32) int32 {
	if program, own := p.by[class]; own {
		return program
	}
	return p.base
}

// cellOf returns what a program says to a class.
func (t *tables) cellOf(p, class int32) int32 {
	for _, c := range t.cells[class] {
		if c.other == p {
			return c.set
		}
	}
	return t.programs[p].base
}

// notes says what pairs do not tell of hosts.
func (h *hosts) notes(m *policy.Model) []Note {
	if h == nil {
		return nil
	}
	toHost := h.settings.EndpointToHost
	if toHost != policy.Deny && toHost != policy.Pass {
		toHost = policy.Allow
	}
	notes := []Note{HostsNote{EndpointToHost: toHost, Decided: toHost != policy.Deny && (h.toNode || h.asksBeforeDNAT())}}
	several := map[string][]string{}
	for _, ep := range m.Endpoints {
		if ep.Host == nil {
			continue
		}
		several[ep.Node] = append(several[ep.Node], ep.Key.Name)
		if len(h.addrsOf(ep)) == 0 {
			notes = append(notes, HostNotListedNote{ep.Key.Name})
		}
	}
	for _, node := range slices.Sorted(maps.Keys(several)) {
		if list := several[node]; len(list) > 1 {
			slices.Sort(list)
			notes = append(notes, SeveralHostEndpointsNote{node, list})
		}
	}
	return notes
}
