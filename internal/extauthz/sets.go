package extauthz

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
)

// netSet is a network set, with a table of its nets from when it is first asked.
type netSet struct {
	*policy.Set
	table atomic.Pointer[bart.Lite]
}

// few is how many nets are looked through faster than they are looked up.
const few = 8

func (n *netSet) contains(addr netip.Addr) bool {
	if len(n.Nets) <= few {
		return slices.ContainsFunc(n.Nets, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	t := n.table.Load()
	if t == nil {
		t = &bart.Lite{}
		for _, p := range n.Nets {
			t.Insert(p)
		}
		n.table.Store(t)
	}
	return t.Contains(addr)
}

// setSet takes in one network set. Only its nets change often: what was worked out
// about which entities denote it stays true then.
func (s *State) setSet(c policy.Change) {
	set, ok := c.Object.(*policy.Set)
	known := s.sets[c.Key]
	switch {
	case !ok:
		delete(s.sets, c.Key)
	case known != nil && slices.Equal(known.Labels, set.Labels) && known.Internal == set.Internal && known.DNSLearned == set.DNSLearned:
		known.Set = set
		known.table.Store(nil)
		return
	default:
		s.sets[c.Key] = &netSet{Set: set}
	}
	s.cache.forgetSets()
}

// cache is what was worked out. It is forgotten under the lock of the state for
// writing, and filled and read under that for reading.
type cache struct {
	tiers    *sync.Map // *policy.Endpoint to *governing
	policies *sync.Map // policy.Key to *policy.Policy, of those in tiers
	sets     *sync.Map // *policy.Entities to []*netSet
}

// governing is what governs an endpoint, by direction.
type governing [2][]evaluate.Tier

func newCache() cache { return cache{&sync.Map{}, &sync.Map{}, &sync.Map{}} }

func (c *cache) forgetTiers()                       { c.tiers, c.policies = &sync.Map{}, &sync.Map{} }
func (c *cache) forgetSets()                        { c.sets = &sync.Map{} }
func (c *cache) forgetEndpoint(ep *policy.Endpoint) { c.tiers.Delete(ep) }

// The state as an index. The caller of each holds mu for reading, throughout a
// decision: it is one state that decides.

// index is the state for the length of one decision.
type index struct{ *State }

// Holder implements evaluate.Index.
func (s index) Holder(addr netip.Addr) *policy.Endpoint { return s.holders[addr] }

// OnNode implements evaluate.Index.
func (s index) OnNode(ep *policy.Endpoint, addr netip.Addr) bool {
	if node, found := s.nodes[addr]; found {
		return node == ep.Node
	}
	host := s.holders[addr]
	return ep.Node != "" && host != nil && host.Host != nil && host.Node == ep.Node
}

// Tiers implements evaluate.Index.
func (s index) Tiers(ep *policy.Endpoint, dir policy.Direction) []evaluate.Tier {
	if known, found := s.cache.tiers.Load(ep); found {
		return known.(*governing)[dir]
	}
	out := &governing{}
	for _, t := range s.order {
		var applying [2][]*policy.Policy
		for key, packed := range s.inTier[t.Name] {
			if !s.policies.Selector(packed).Match(ep.Labels) {
				continue
			}
			p := s.unpack(key, packed)
			for _, dir := range policy.Directions {
				if p.Types[dir] {
					applying[dir] = append(applying[dir], p)
				}
			}
		}
		for dir, list := range applying {
			if len(list) > 0 {
				slices.SortFunc(list, policy.ComparePolicies)
				out[dir] = append(out[dir], evaluate.Tier{Tier: t, Policies: list})
			}
		}
	}
	s.cache.tiers.Store(ep, out)
	return out[dir]
}

// Profile implements evaluate.Index. A profile is a policy of no tier.
func (s index) Profile(name string) *policy.Policy {
	key := policy.ProfileKey(name)
	if packed, found := s.inTier[""][key]; found {
		return s.unpack(key, packed)
	}
	return nil
}

// unpack returns a policy, which endpoints share.
func (s index) unpack(key policy.Key, packed compact.Packed) *policy.Policy {
	if known, found := s.cache.policies.Load(key); found {
		return known.(*policy.Policy)
	}
	p := s.policies.Unpack(packed)
	s.cache.policies.Store(key, p)
	return p
}

// InSets implements evaluate.Index.
func (s index) InSets(e *policy.PeerSet, addr netip.Addr) bool {
	for _, set := range s.denoted(e) {
		if set.contains(addr) {
			return true
		}
	}
	return false
}

// denoted returns the sets that entities denote.
func (s index) denoted(e *policy.PeerSet) []*netSet {
	if known, found := s.cache.sets.Load(e); found {
		return known.([]*netSet)
	}
	var out []*netSet
	for _, set := range s.sets {
		if e.Counts(set.Set) && e.Selector.Match(set.Labels) {
			out = append(out, set)
		}
	}
	s.cache.sets.Store(e, out)
	return out
}

// HostSettings implements evaluate.HostIndex.
func (s index) HostSettings() *policy.HostSettings { return s.hosts.HostSettings() }

// HasHosts implements evaluate.HostIndex.
func (s index) HasHosts() bool { return s.hosts.HasHosts() }

// NodeAt implements evaluate.HostIndex.
func (s index) NodeAt(addr netip.Addr) string {
	if node, found := s.nodes[addr]; found {
		return node
	}
	if ep := s.holders[addr]; ep != nil && ep.Host != nil {
		return ep.Node
	}
	return ""
}

// HostAt implements evaluate.HostIndex.
func (s index) HostAt(node, iface string, addr netip.Addr) *policy.Endpoint {
	return s.hosts.HostAt(node, iface, addr)
}
