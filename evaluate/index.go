package evaluate

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Index answers what the evaluation of a flow asks of a model. An [Evaluator]
// has the plain one, which looks at everything there is. Who must decide many
// flows a second brings one that remembers, and is judged by the plain one.
type Index interface {
	// Holder returns the endpoint that holds the address, nil if none does. Of several,
	// as there are while an address is handed over, it is the first of
	// [policy.CompareHolders].
	Holder(addr netip.Addr) *policy.Endpoint
	// OnNode reports whether the address belongs to the node that the endpoint runs on.
	OnNode(ep *policy.Endpoint, addr netip.Addr) bool
	// Tiers returns the tiers of which policies of that direction apply to the
	// endpoint, with these, all in evaluation order.
	Tiers(ep *policy.Endpoint, dir policy.Direction) []Tier
	// Profile returns the profile of that name, nil if there is none.
	Profile(name string) *policy.Policy
	// InSets reports whether the address lies in the nets of a set that the
	// peer set denotes.
	InSets(e *policy.PeerSet, addr netip.Addr) bool
}

// Locator knows what addresses there are on nodes.
type Locator interface {
	// Holder returns the endpoint that holds the address, as that of [Index] does.
	Holder(addr netip.Addr) *policy.Endpoint
	// NodeAt returns the node whose own address it is, "" if it is none's.
	NodeAt(addr netip.Addr) string
}

// HostIndex is an [Index] that knows host endpoints too. One that does not asks
// only the policy of workloads.
type HostIndex interface {
	Index
	Locator
	// HostSettings returns what the administrator decides for all hosts.
	HostSettings() *policy.HostSettings
	// HasHosts reports whether there is any host endpoint or setting that could
	// decide something.
	HasHosts() bool
	// HostAt returns the host endpoint of a node that acts for an interface, nil if
	// none does. Where the interface is not known (""), it is the first that
	// expects the address, else that of all interfaces, else the first there is.
	HostAt(node, iface string, addr netip.Addr) *policy.Endpoint
}

// Tier is a tier with policies, never none, in evaluation order.
type Tier struct {
	*policy.Tier
	Policies []*policy.Policy
}

// Decide decides a flow as [Evaluator.Evaluate] does, by the caller's index and
// without a trace: who decided is in Decision.By.
func Decide(index Index, f policy.Flow) policy.Result { return evaluate(index, f, false) }

// Plain returns the plain index of a model, for who has one of a part of it.
func Plain(m *policy.Model) HostIndex { return newScan(m) }

// scan is the plain index.
type scan struct {
	model *policy.Model
	tiers []Tier // all of them, some without policies
}

func newScan(m *policy.Model) *scan {
	s := &scan{model: m}
	for _, t := range slices.SortedFunc(slices.Values(m.Tiers), policy.CompareTiers) {
		in := Tier{Tier: t}
		for _, p := range m.Policies {
			if p.Tier == t.Name {
				in.Policies = append(in.Policies, p)
			}
		}
		slices.SortFunc(in.Policies, policy.ComparePolicies)
		s.tiers = append(s.tiers, in)
	}
	return s
}

// Holder implements Index.
func (s *scan) Holder(addr netip.Addr) *policy.Endpoint {
	var holder *policy.Endpoint
	for _, ep := range s.model.Endpoints {
		if slices.Contains(ep.Addrs, addr) && (holder == nil || policy.CompareHolders(ep, holder) < 0) {
			holder = ep
		}
	}
	return holder
}

// isHostOf reports whether the holder of an address is the host that a workload runs
// on: a host without a Node object has the addresses of its host endpoints.
func isHostOf(ep, holder *policy.Endpoint) bool {
	return ep.Node != "" && holder != nil && holder.Host != nil && holder.Node == ep.Node
}

// OnNode implements Index.
func (s *scan) OnNode(ep *policy.Endpoint, addr netip.Addr) bool {
	named := false
	for _, n := range s.model.Nodes {
		has := slices.Contains(n.Addrs, addr)
		if has && n.Name == ep.Node {
			return true
		}
		named = named || has
	}
	return !named && isHostOf(ep, s.Holder(addr))
}

// Tiers implements Index.
func (s *scan) Tiers(ep *policy.Endpoint, dir policy.Direction) []Tier {
	var out []Tier
	for _, t := range s.tiers {
		applying := Tier{Tier: t.Tier}
		for _, p := range t.Policies {
			if p.Types[dir] && p.Selector.Match(ep.Labels) {
				applying.Policies = append(applying.Policies, p)
			}
		}
		if len(applying.Policies) > 0 { // else the tier is skipped
			out = append(out, applying)
		}
	}
	return out
}

// Profile implements Index.
func (s *scan) Profile(name string) *policy.Policy {
	key := policy.ProfileKey(name)
	if i := slices.IndexFunc(s.model.Policies, func(p *policy.Policy) bool { return p.Key == key }); i >= 0 {
		return s.model.Policies[i]
	}
	return nil
}

// InSets implements Index.
func (s *scan) InSets(e *policy.PeerSet, addr netip.Addr) bool {
	return slices.ContainsFunc(s.model.Sets, func(set *policy.Set) bool {
		return e.Counts(set) && e.Selector.Match(set.Labels) && contains(set.Nets, addr)
	})
}

// HostSettings implements HostIndex.
func (s *scan) HostSettings() *policy.HostSettings { return &s.model.Host }

// HasHosts implements HostIndex.
func (s *scan) HasHosts() bool {
	return s.model.Host.EndpointToHost == policy.Deny ||
		slices.ContainsFunc(s.model.Endpoints, func(ep *policy.Endpoint) bool { return ep.Host != nil })
}

// NodeAt implements HostIndex.
func (s *scan) NodeAt(addr netip.Addr) string {
	for _, n := range s.model.Nodes {
		if slices.Contains(n.Addrs, addr) {
			return n.Name
		}
	}
	if ep := s.Holder(addr); ep != nil && ep.Host != nil {
		return ep.Node
	}
	return ""
}

// HostAt implements HostIndex.
func (s *scan) HostAt(node, iface string, addr netip.Addr) *policy.Endpoint {
	if iface == "lo" {
		return nil
	}
	first := func(fits func(*policy.Endpoint) bool) *policy.Endpoint {
		var found *policy.Endpoint
		for _, ep := range s.model.Endpoints {
			if ep.Host != nil && ep.Node == node && fits(ep) && (found == nil || policy.CompareHosts(ep, found) < 0) {
				found = ep
			}
		}
		return found
	}
	all := func(ep *policy.Endpoint) bool { return ep.Interface == policy.AllInterfaces }
	if iface != "" {
		if ep := first(func(ep *policy.Endpoint) bool { return ep.Interface == iface }); ep != nil {
			return ep
		}
		return first(all)
	}
	if ep := first(func(ep *policy.Endpoint) bool { return !all(ep) && slices.Contains(ep.Host.Expected, addr) }); ep != nil {
		return ep
	}
	if ep := first(all); ep != nil {
		return ep
	}
	return first(func(*policy.Endpoint) bool { return true })
}
