package analyze

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// reach is a computation of Reach under way.
type reach struct {
	reading
	ranges       [2][]addrRange       // by family
	points       [2][]enforcement     // by family
	groups       []endpointGroup      // workloads, then hosts
	placeholders placeholders         // of domains
	seen         map[enforcement]bool // those in points
	scratch      [2]view
	// allDomains has domains listed also where they are treated like any address.
	allDomains bool
	// allToOwnNode has what workloads send to their own node listed also where no policy
	// decides about it.
	allToOwnNode bool
}

// enforcement is what decides about an address: what its egress and ingress programs
// say, its class as a peer, and what its host says.
type enforcement struct {
	egress, ingress, class int32
	toNode                 int32 // program of a workload towards its own node
	// node is the number of the node that the address is on, or that has it (host);
	// 0 if no host endpoint of it has a say.
	node int32
	host bool
	out  [3]int32 // programs of its host for what leaves, at hooksOut
	in   [4]int32 // for what comes in, at hooksIn
	// What its host asks at the link of a workload, by the class of the other end: numbers
	// of linkPoints, 0 for nothing.
	preDNAT, linkIn, linkOut int32
}

// enforcements are what decides about an endpoint, by family.
type enforcements struct {
	has [2]bool
	at  [2]enforcement
}

// endpointGroup is an endpoint, or several that are alike, with one name.
type endpointGroup struct {
	key      policy.Key
	addr     netip.Addr // set where the endpoint's addresses of one family differ
	enforced enforcements
	host     bool
	// at are the nodes with host endpoints that it is on, each with one of its
	// endpoints there; the number 0 is all other nodes.
	at []located
}

// located is an endpoint of a group on a node.
type located struct {
	node     int32
	enforced enforcements
}

// end returns the group as an end: with its address if it is one of several that differ.
func (u *endpointGroup) end() *End {
	e := EndOf(u.key)
	if u.addr.IsValid() {
		e = e.At(u.addr)
	}
	return &e
}

// on reports whether the group has endpoints on a node, and elsewhere.
func (u *endpointGroup) on(node int32) (there *located, elsewhere bool) {
	for i := range u.at {
		if u.at[i].node == node {
			there = &u.at[i]
		} else {
			elsewhere = true
		}
	}
	return there, elsewhere
}

// addGroups finds the groups: workloads whose endpoints are alike, endpoints, hosts.
func (r *reach) addGroups(endpoints []*policy.Endpoint, pods bool) {
	var workloads []*policy.Endpoint
	var list []endpointGroup // of hosts
	for _, ep := range endpoints {
		if ep.Host == nil {
			workloads = append(workloads, ep)
			r.addEnforcements(ep.Addrs, "")
		} else {
			addrs := r.hosts.addrsOf(ep)
			r.addEnforcements(addrs, ep.Interface)
		}
	}
	for _, ep := range endpoints {
		if ep.Host == nil {
			continue
		}
		if addrs := r.hosts.addrsOf(ep); len(addrs) > 0 {
			list = append(list, r.groupsOf(ep, addrs, ep.Interface, nil)...)
		}
	}
	slices.SortFunc(list, compareGroups)
	members := map[policy.Key][]endpointGroup{}
	for _, ep := range workloads {
		workload := ep.Key
		if !pods && ep.Owner != (policy.Key{}) {
			workload = ep.Owner
		}
		members[workload] = append(members[workload], r.groupsOf(ep, ep.Addrs, "", list)...)
	}
	for workload, of := range members {
		r.groups = append(r.groups, r.collapse(workload, of, list)...)
	}
	slices.SortFunc(r.groups, compareGroups)
	r.groups = append(r.groups, list...)
}

func compareGroups(a, b endpointGroup) int {
	return cmp.Or(a.key.Compare(b.key), a.addr.Compare(b.addr))
}

// addEnforcements finds the distinct enforcements, against which any two are compared.
func (r *reach) addEnforcements(addrs []netip.Addr, iface string) {
	for _, a := range addrs {
		family, p := policy.FamilyOf(a.Unmap()).Index(), r.enforcementOf(a, iface)
		if !r.seen[p] {
			r.seen[p] = true
			r.points[family] = append(r.points[family], p)
		}
	}
}

// groupsOf returns the groups of one endpoint: one, unless it has several addresses
// of a family which are not alike. Hosts are those that it may be on.
func (r *reach) groupsOf(ep *policy.Endpoint, addrs []netip.Addr, iface string, hosts []endpointGroup) []endpointGroup {
	u := endpointGroup{key: ep.Key, host: ep.Host != nil}
	differ := false
	for _, a := range addrs {
		family, p := policy.FamilyOf(a.Unmap()).Index(), r.enforcementOf(a, iface)
		if !u.enforced.has[family] {
			u.enforced.has[family], u.enforced.at[family] = true, p
		}
		first := u.enforced.at[family]
		differ = differ || !r.sameEnforcement(family, first, p) || r.nodeOf(a) != r.nodeOf(addrs[0]) ||
			!r.sameToOwnNode(r.at(family, first, a), r.at(family, p, a), hosts) || u.host && r.decidesToOwnNode() && (first.in != p.in || first.class != p.class)
	}
	if !differ {
		return []endpointGroup{r.locate(u, addrs)}
	}
	var out []endpointGroup
	for _, a := range addrs {
		one := endpointGroup{key: ep.Key, addr: a, host: u.host}
		family := policy.FamilyOf(a.Unmap()).Index()
		one.enforced.has[family], one.enforced.at[family] = true, r.enforcementOf(a, iface)
		out = append(out, r.locate(one, []netip.Addr{a}))
	}
	return out
}

// locate notes on which node a group of one endpoint is, if some have host endpoints.
func (r *reach) locate(u endpointGroup, addrs []netip.Addr) endpointGroup {
	if r.hosts != nil && len(addrs) > 0 {
		u.at = []located{{r.nodeOf(addrs[0]), u.enforced}}
	}
	return u
}

// nodeOf returns the number of the node that an address is on, 0 if that has no host
// endpoints. Of several endpoints that claim an address one has it.
func (r *reach) nodeOf(a netip.Addr) int32 {
	if r.hosts == nil {
		return 0
	}
	node, _ := evaluate.Locate(r.hosts, a.Unmap())
	return r.hosts.numbers[node]
}

// enforcementOf returns the enforcement of an address. iface is the interface of the host that
// is meant; empty if none is.
func (r *reach) enforcementOf(a netip.Addr, iface string) enforcement {
	a = a.Unmap()
	l := r.locals[a]
	class, _ := r.classAt(a)
	p := enforcement{egress: r.byID[l.Egress], ingress: r.byID[l.Ingress], class: class}
	if r.hosts == nil {
		return p
	}
	if p.toNode = r.byID[l.ToNode]; p.toNode != 0 {
		r.hosts.toNode = true
	}
	if ep := r.hosts.holders[a]; ep == nil || ep.Host != nil {
		p.egress, p.ingress, p.toNode = 0, 0, 0
	}
	r.setHooks(&p, a, iface)
	return p
}

// classAt returns the class of an address: its own, or that of the longest net.
func (r *reach) classAt(a netip.Addr) (int32, dataplane.ClassID) {
	if class, ok := r.addrs[a]; ok {
		return r.classes[class], class
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		if n, err := a.Prefix(bits); err == nil {
			if class, ok := r.nets[n]; ok {
				return r.classes[class], class
			}
		}
	}
	return 0, 0
}

// collapse makes one group of a workload's members if they are alike.
func (r *reach) collapse(workload policy.Key, members, hosts []endpointGroup) []endpointGroup {
	first := members[0]
	at := first.at
	for _, u := range members[1:] {
		if u.enforced.has != first.enforced.has || u.addr.IsValid() {
			return members
		}
		for family, has := range u.enforced.has {
			if has && !r.sameEnforcement(family, first.enforced.at[family], u.enforced.at[family]) {
				return members
			}
		}
		for _, l := range u.at {
			i := slices.IndexFunc(at, func(o located) bool { return o.node == l.node })
			if i < 0 {
				at = append(slices.Clip(at), l)
			} else if !r.sameToOwnNode(&at[i], &l, hosts) {
				return members
			}
		}
	}
	slices.SortFunc(at, func(a, b located) int { return cmp.Compare(a.node, b.node) })
	return []endpointGroup{{key: workload, enforced: first.enforced, at: at}}
}

// at returns an enforcement as an endpoint with one address on the node of that.
func (r *reach) at(family int, p enforcement, a netip.Addr) *located {
	l := &located{node: r.nodeOf(a)}
	l.enforced.has[family], l.enforced.at[family] = true, p
	return l
}

// decidesToOwnNode reports whether policy decides what workloads send to their own node:
// theirs, or that of some host.
func (r *reach) decidesToOwnNode() bool {
	return r.hosts != nil && (r.hosts.toNode || len(r.hosts.links) > 1)
}

// sameToOwnNode reports whether two endpoints on a node reach the same of it.
func (r *reach) sameToOwnNode(a, b *located, hosts []endpointGroup) bool {
	if !r.decidesToOwnNode() || a.node == 0 {
		return true
	}
	for i := range hosts {
		h := &hosts[i]
		for family := range h.enforced.has {
			if h.at[0].node == a.node && r.toOwnNode(family, a, h) != r.toOwnNode(family, b, h) {
				return false
			}
		}
	}
	return true
}

// toOwnNode returns what an endpoint may send to its own host.
func (r *reach) toOwnNode(family int, l *located, host *endpointGroup) int32 {
	if !l.enforced.has[family] || !host.enforced.has[family] {
		return none
	}
	return r.toOwnHost(&l.enforced.at[family], &host.enforced.at[family])
}

// listsToOwnNode reports whether it is listed what an endpoint may send to its own host: not
// where no policy decides about it, so that it is always the same.
func (r *reach) listsToOwnNode(l *located) bool {
	return r.allToOwnNode || slices.ContainsFunc(l.enforced.at[:], func(p enforcement) bool { return p.preDNAT != 0 || p.toNode != 0 })
}
