package analyze

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

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
	points   map[dataplane.PointKey]dataplane.HostPoint
	pre      []prePoint // those that workloads meet before DNAT, from 1
	preOf    map[dataplane.PointKey]int32
	routed   map[string]bool       // nodes that say something of what comes for workloads, or leaves them
	safe     map[policy.Hook]L4Set // always open there
	after    map[afterKey]int32
}

// newHosts returns nil for a model without host endpoints.
func newHosts(m *policy.Model, points []dataplane.HostPoint) *hosts {
	h := &hosts{
		settings: &m.Host, numbers: map[string]int32{}, on: map[string]evaluate.HostIndex{},
		nodes: map[netip.Addr]string{}, own: map[string][]netip.Addr{}, holders: map[netip.Addr]*policy.Endpoint{},
		points: map[dataplane.PointKey]dataplane.HostPoint{}, safe: map[policy.Hook]L4Set{}, after: map[afterKey]int32{},
		pre: make([]prePoint, 1), preOf: map[dataplane.PointKey]int32{}, routed: map[string]bool{},
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
		h.points[p.PointKey] = p
		if slices.Contains(hooksIn[evaluate.Workload], p.Hook) || slices.Contains(hooksOut[evaluate.Workload], p.Hook) {
			h.routed[p.Node] = h.routed[p.Node] || p.Governs()
		}
	}
	for _, hook := range policy.Hooks {
		h.safe[hook] = failsafes(h.settings, hook)
	}
	return h
}

// failsafes returns what is open at a hook whatever policy says.
func failsafes(s *policy.HostSettings, hook policy.Hook) L4Set {
	var all L4Set
	if hook.Forward() {
		return all
	}
	var codes [256][]span
	for t := 133; t <= 136; t++ { // neighbour discovery
		codes[t] = []span{{0, 255}}
	}
	all.setTypes(policy.ICMPv6, &codes)
	for _, f := range s.Failsafes(hook.Direction()) {
		on := onPorts(f.Protocol, span{int(f.Port), int(f.Port)})
		all = all.Union(on)
	}
	if !hook.Raw() {
		return all
	}
	for _, f := range s.Failsafes(1 - hook.Direction()) {
		if f.Port == lowestEphemeral { // a reply to one
			on := onPorts(f.Protocol)
			all = all.Union(on)
		}
	}
	return all
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
		key, _ := h.beforeDNAT(h.holders[a], a)
		p.pre = h.preOf[key]
	}
	ep := index.HostAt(node, iface, a)
	// A workload is told from one elsewhere only where its host says something: at
	// any of its addresses, since none of it is asked of what stays on the node.
	if p.host = host; host || p.pre != 0 || h.routed[node] {
		p.node = h.numbers[node]
	}
	if ep == nil {
		return
	}
	_, class := r.classAt(a)
	programs := func(list []int32, hooks []policy.Hook) {
		for i, hook := range hooks {
			key := dataplane.PointKey{Node: node, Hook: hook, Interface: ep.Key.Name, Family: policy.FamilyOf(a)}
			list[i] = r.byID[h.points[key].ProgramFor(class)]
		}
	}
	programs(p.in[:], hooksIn[at])
	programs(p.out[:], hooksOut[at])
	if !host {
		p.out[0] = 0 // see prePoint
	}
}

// prePoint is what a hook before DNAT asks, by the class of the destination.
type prePoint struct {
	base int32
	by   map[int32]int32
}

// setBeforeDNAT finds what workloads meet before DNAT: what the endpoint of all
// interfaces says, or that of a workload's own interface.
func (r *reach) setBeforeDNAT(m *policy.Model) {
	if r.hosts == nil {
		return
	}
	h := r.hosts
	for _, ep := range m.Endpoints {
		if ep.Host != nil || h.on[ep.Node] == nil {
			continue
		}
		for _, a := range ep.Addrs {
			key, ok := h.beforeDNAT(ep, a.Unmap())
			enforcement := h.points[key]
			if !ok || !enforcement.Governs() || h.preOf[key] != 0 {
				continue
			}
			pre := prePoint{r.byID[enforcement.Base], map[int32]int32{}}
			for _, x := range enforcement.Programs {
				pre.by[r.classes[x.Class]] = r.byID[x.Program]
			}
			h.pre = append(h.pre, pre)
			h.preOf[key] = int32(len(h.pre) - 1)
		}
	}
}

// beforeDNAT returns the point that a workload meets; false if there is none.
func (h *hosts) beforeDNAT(ep *policy.Endpoint, a netip.Addr) (dataplane.PointKey, bool) {
	host := h.on[ep.Node].HostAt(ep.Node, evaluate.Link(ep), a)
	if host == nil {
		return dataplane.PointKey{}, false
	}
	return dataplane.PointKey{Node: ep.Node, Hook: policy.HookPreDNAT, Interface: host.Key.Name, Family: policy.FamilyOf(a)}, true
}

// alike reports whether what workloads send to two classes is asked by the same
// programs.
func (h *hosts) alike(a, b int32) bool {
	if h == nil {
		return true
	}
	return !slices.ContainsFunc(h.pre, func(p prePoint) bool { return p.program(a) != p.program(b) })
}

// program returns the program for a class of destinations; 0 for none.
func (p *prePoint) program(class int32) int32 {
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
func (h *hosts) notes(m *policy.Model) []string {
	if h == nil {
		return nil
	}
	notes := []string{"rows of a workload and a host speak of pods on other nodes; " + map[policy.Action]string{
		policy.Deny: "a host always reaches its own pods, and they cannot reach it (--endpoint-to-host Drop)",
		policy.Pass: "a host always reaches its own pods; what these may send to it is listed (--endpoint-to-host Return)",
	}[h.settings.EndpointToHost]}
	if h.settings.EndpointToHost != policy.Deny && h.settings.EndpointToHost != policy.Pass {
		notes[0] += "a host and its own pods always reach each other (--endpoint-to-host Accept)"
	}
	if len(h.pre) > 1 {
		notes[0] += ", but where policy with preDNAT decides: that is listed"
	}
	several := map[string][]string{}
	for _, ep := range m.Endpoints {
		if ep.Host == nil {
			continue
		}
		several[ep.Node] = append(several[ep.Node], ep.Key.Name)
		if len(h.addrsOf(ep)) == 0 {
			notes = append(notes, fmt.Sprintf("HostEndpoint %s is not listed: no address is known by which its host is reached: give it expectedIPs", ep.Key.Name))
		}
	}
	for _, node := range slices.Sorted(maps.Keys(several)) {
		if list := several[node]; len(list) > 1 {
			slices.Sort(list)
			notes = append(notes, fmt.Sprintf("node %s has the host endpoints %s: what is routed to and from its pods is what one of them says (explain --interface asks another one)",
				node, strings.Join(list, ", ")))
		}
	}
	return notes
}
