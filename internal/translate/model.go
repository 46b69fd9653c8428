package translate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Model gives the whole model, sorted by key. It shares its objects with the
// translator, which never changes one it has given.
func (t *Translator) Model() *policy.Model {
	m := &policy.Model{}
	nodes := nodeSet{}
	for _, o := range t.sortedObjects() {
		switch out := o.out.(type) {
		case *policy.Tier:
			m.Tiers = append(m.Tiers, out)
		case *policy.Policy:
			m.Policies = append(m.Policies, out)
		case *policy.Set:
			m.Sets = append(m.Sets, out)
		case *policy.Endpoint:
			m.Endpoints = append(m.Endpoints, out)
		}
		if n := o.parsed.node; n != nil {
			nodes.add(n.Name, n.Addrs)
		}
		if e := o.parsed.endpoint; e != nil && t.opts.Offline {
			nodes.add(e.node, e.hostAddrs)
		}
	}
	m.Nodes = nodes.sorted()
	if t.opts.Offline {
		m.Endpoints = append(m.Endpoints, t.representatives()...)
		slices.SortFunc(m.Endpoints, func(a, b *policy.Endpoint) int { return a.Key.Compare(b.Key) })
		giveStandIns(m, t.Staged(), t.opts.StandInIPv6)
	}
	return m
}

// representatives gives the one endpoint of each workload that stands for its
// pods. A workload whose pods are there needs none, and neither does one that
// another workload manages: its pods are that one's.
func (t *Translator) representatives() []*policy.Endpoint {
	hasPods := map[policy.Key]bool{}
	for _, o := range t.objects {
		if ep, ok := o.out.(*policy.Endpoint); ok && ep.Owner != (policy.Key{}) {
			hasPods[ep.Owner] = true
			hasPods[o.parsed.endpoint.controller] = true
		}
	}
	var out []*policy.Endpoint
	for _, o := range t.objects {
		e := o.parsed.endpoint
		if e == nil || !e.template || e.none != "" || hasPods[o.key] {
			continue
		}
		ep := t.endpoint(o)
		if _, managed := t.controllerOf(ep.Owner); managed || hasPods[ep.Owner] {
			continue
		}
		out = append(out, ep)
	}
	return out
}

// Staged gives the valid staged policies, sorted by key.
func (t *Translator) Staged() []Staged {
	var out []Staged
	for _, o := range t.objects {
		if o.parsed.staged != nil && len(o.unjoined) == 0 {
			out = append(out, *o.parsed.staged)
		}
	}
	slices.SortFunc(out, func(a, b Staged) int { return a.Key.Compare(b.Key) })
	return out
}

// Statuses gives the status of every object of the source, sorted by key.
func (t *Translator) Statuses() []Status {
	var out []Status
	for _, o := range t.sortedObjects() {
		if o.present {
			out = append(out, o.status)
		}
	}
	return out
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
