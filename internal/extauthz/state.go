package extauthz

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
)

// State is the model that requests are judged by, kept as its changes come. It
// holds the endpoints of the whole cluster, some 500 bytes each, and what was
// worked out for those that were asked about. It is safe for concurrent use: a
// change waits for decisions under way, which take microseconds.
type State struct {
	node string // whose endpoints hold their addresses whatever others claim

	mu        sync.RWMutex
	ready     bool
	tiers     map[policy.Key]*policy.Tier
	order     []*policy.Tier // in evaluation order
	policies  *compact.Policies
	inTier    map[string]map[policy.Key]compact.Packed
	tierOf    map[policy.Key]string // of policies
	endpoints map[policy.Key]*policy.Endpoint
	holders   map[netip.Addr]*policy.Endpoint
	claims    map[netip.Addr][]*policy.Endpoint // where there are several
	sets      map[policy.Key]*netSet
	nodes     map[netip.Addr]string

	// hosts is the plain index of nodes and host endpoints alone, which are few.
	hosts     evaluate.HostIndex
	hostModel policy.Model

	// cache is what was worked out since the last change that may have made it
	// untrue. It has a lock of its own, since decisions fill it.
	cache cache
}

// NewState makes an empty state of an agent on a node, which is not ready.
func NewState(node string) *State {
	s := &State{
		node: node, tiers: map[policy.Key]*policy.Tier{}, policies: compact.NewPolicies(),
		inTier: map[string]map[policy.Key]compact.Packed{}, tierOf: map[policy.Key]string{},
		endpoints: map[policy.Key]*policy.Endpoint{}, holders: map[netip.Addr]*policy.Endpoint{},
		claims: map[netip.Addr][]*policy.Endpoint{}, sets: map[policy.Key]*netSet{}, nodes: map[netip.Addr]string{},
		cache: newCache(),
	}
	s.hosts = evaluate.Plain(&s.hostModel)
	return s
}

// Ready says that the state is complete. Until then everything is denied.
func (s *State) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

// Apply takes changes of the model in, as one step.
func (s *State) Apply(changes []policy.Change) {
	if len(changes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var hosts bool
	for _, c := range changes {
		switch c.Key.ObjectType() {
		case policy.TierObject:
			s.setTier(c)
		case policy.PolicyObject:
			s.setPolicy(c)
		case policy.SetObject:
			s.setSet(c)
		case policy.EndpointObject:
			hosts = s.setEndpoint(c) || hosts
		}
	}
	if hosts {
		s.rebuildHosts()
	}
}

// SetNodes takes in which nodes there are, and what is decided for all hosts.
func (s *State) SetNodes(nodes []*policy.Node, hosts policy.HostSettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.nodes)
	for _, n := range nodes {
		for _, a := range n.Addrs {
			s.nodes[a] = n.Name
		}
	}
	s.hostModel.Nodes, s.hostModel.Host = nodes, hosts
	s.rebuildHosts()
}

func (s *State) rebuildHosts() {
	m := s.hostModel
	m.Endpoints = nil
	for _, ep := range s.endpoints {
		if ep.Host != nil {
			m.Endpoints = append(m.Endpoints, ep)
		}
	}
	s.hosts = evaluate.Plain(&m)
}

func (s *State) setTier(c policy.Change) {
	if t, ok := c.Object.(*policy.Tier); ok {
		s.tiers[c.Key] = t
	} else {
		delete(s.tiers, c.Key)
	}
	s.order = s.order[:0]
	for _, t := range s.tiers {
		s.order = append(s.order, t)
	}
	slices.SortFunc(s.order, policy.CompareTiers)
	s.cache.forgetTiers()
}

func (s *State) setPolicy(c policy.Change) {
	if tier, known := s.tierOf[c.Key]; known {
		s.policies.Release(s.inTier[tier][c.Key])
		delete(s.inTier[tier], c.Key)
		delete(s.tierOf, c.Key)
		if len(s.inTier[tier]) == 0 {
			delete(s.inTier, tier)
		}
	}
	if p, ok := c.Object.(*policy.Policy); ok {
		if s.inTier[p.Tier] == nil {
			s.inTier[p.Tier] = map[policy.Key]compact.Packed{}
		}
		s.inTier[p.Tier][c.Key] = s.policies.Pack(p)
		s.tierOf[c.Key] = p.Tier
	}
	s.cache.forgetTiers()
	s.cache.forgetSets() // it is by entities, which came and went
}

// setEndpoint takes in one endpoint; it reports whether it is, or was, a host's.
func (s *State) setEndpoint(c policy.Change) (host bool) {
	if old := s.endpoints[c.Key]; old != nil {
		for _, a := range old.Addrs {
			s.unclaim(a, old)
		}
		delete(s.endpoints, c.Key)
		s.cache.forgetEndpoint(old)
		host = old.Host != nil
	}
	ep, ok := c.Object.(*policy.Endpoint)
	if !ok {
		return host
	}
	s.endpoints[c.Key] = ep
	for _, a := range ep.Addrs {
		s.claim(a, ep)
	}
	return host || ep.Host != nil
}

// claim notes that an endpoint claims an address; unclaim that it does no more.
func (s *State) claim(a netip.Addr, ep *policy.Endpoint) {
	holder := s.holders[a]
	if holder == nil {
		s.holders[a] = ep
		return
	}
	if s.claims[a] == nil {
		s.claims[a] = []*policy.Endpoint{holder}
	}
	s.claims[a] = append(s.claims[a], ep)
	s.settleClaims(a)
}

func (s *State) unclaim(a netip.Addr, ep *policy.Endpoint) {
	claims, several := s.claims[a]
	if !several {
		if s.holders[a] == ep {
			delete(s.holders, a)
		}
		return
	}
	s.claims[a] = slices.DeleteFunc(claims, func(c *policy.Endpoint) bool { return c == ep })
	s.settleClaims(a)
}

// settleClaims returns an address to the first of those who claim it. One of this
// node has it before any other: see policy.Model.At.
func (s *State) settleClaims(a netip.Addr) {
	claims := s.claims[a]
	s.holders[a] = slices.MinFunc(claims, func(x, y *policy.Endpoint) int {
		return cmp.Or(compareBool(y.Node == s.node, x.Node == s.node), policy.CompareHolders(x, y))
	})
	if len(claims) == 1 {
		delete(s.claims, a)
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
