package modeltest

import (
	"fmt"
	"math"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// The tiers that policies are drawn for. "missing" is never a tier of the model.
var tierNames = []string{"default", "security", "platform", "application", "kube-admin", "kube-baseline", "missing"}

// universe is what the objects of one model, or of several versions of it, share.
type universe struct {
	nsLabels map[string]map[string]string
}

// Models draws small models. Nodes are left out: see ModelsWithNodes.
func Models() *rapid.Generator[*policy.Model] {
	return rapid.Custom(drawModel)
}

// ModelsWithNodes draws small models with nodes, on which their endpoints run.
func ModelsWithNodes() *rapid.Generator[*policy.Model] {
	return rapid.Custom(func(t *rapid.T) *policy.Model {
		m := drawModel(t)
		for i, name := range []string{"node-a", "node-b"} {
			family := i
			if coin.Draw(t, "has node") {
				m.Nodes = append(m.Nodes, &policy.Node{Name: name, Addrs: baseAddrs[family][endpointAddrs-1:][:1]})
			}
		}
		return m
	})
}

// ModelsWithEverything draws models of which every field of every object is other
// than zero now and then: those of ModelsWithHosts, and what decides nothing by
// itself, the workloads of pods, domains, and that addresses are not the source's.
func ModelsWithEverything() *rapid.Generator[*policy.Model] {
	return rapid.Custom(func(t *rapid.T) *policy.Model {
		m := ModelsWithHosts().Draw(t, "model")
		for _, ep := range m.Endpoints {
			if ep.Key.Kind == policy.KindPod && coin.Draw(t, "has owner") {
				ep.Owner = policy.Key{Kind: "Deployment", Namespace: ep.Key.Namespace, Name: one(t, []string{"v", "w"}, "owner")}
			}
			ep.PlaceholderAddrs = ep.Host == nil && chance(t, 10, "placeholder")
		}
		for _, s := range m.Sets {
			if !s.DNSLearned {
				s.Domains = some(t, 0, 2, "domains", func() string { return one(t, domains, "domain") })
				s.AllowInternal = chance(t, 20, "allow internal")
			}
		}
		return m
	})
}

func drawModel(t *rapid.T) *policy.Model {
	u := &universe{nsLabels: namespaceLabels(t)}
	m := &policy.Model{}
	for _, name := range tierNames {
		if tier := u.tier(t, name); tier != nil {
			m.Tiers = append(m.Tiers, tier)
		}
	}
	for i := range below(t, len(policyKeys)+1, "policies") {
		m.Policies = append(m.Policies, u.policy(t, policyKeys[i]))
	}
	for _, name := range profileNames {
		if chance(t, 75, "profile") {
			m.Policies = append(m.Policies, drawProfile(t, policy.ProfileKey(name)))
		}
	}
	for i := range upTo(t, 1, len(endpointKeys), "endpoints") {
		m.Endpoints = append(m.Endpoints, u.endpoint(t, endpointKeys[i]))
	}
	for i := range below(t, len(setKeys)+1, "sets") {
		m.Sets = append(m.Sets, u.set(t, setKeys[i]))
	}
	return m
}

// The keys of the objects that models have. The same few keys in every model
// make a step from one model to the next change objects, not only replace them.
var (
	policyKeys = []policy.Key{
		{Kind: policy.KindNetworkPolicy, Namespace: "blue", Name: "a"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "a"},
		{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "blue", Name: "a"},
		{Kind: policy.KindNetworkPolicy, Namespace: "red", Name: "a-b"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "application.b"},
		{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "green", Name: "b"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "c"},
		{Kind: policy.KindNetworkPolicy, Namespace: "green", Name: "a"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "d"},
		{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "red", Name: "a"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "a-b"},
		{Kind: policy.KindGlobalNetworkPolicy, Name: "e"},
	}
	endpointKeys = []policy.Key{
		{Kind: policy.KindPod, Namespace: "blue", Name: "p1"},
		{Kind: policy.KindPod, Namespace: "blue", Name: "p2"},
		{Kind: policy.KindPod, Namespace: "red", Name: "p1"},
		{Kind: policy.KindPod, Namespace: "green", Name: "p1"},
		{Kind: policy.KindWorkloadEndpoint, Namespace: "red", Name: "vm"},
		{Kind: "Deployment", Namespace: "green", Name: "p1"},
		{Kind: policy.KindPod, Namespace: "red", Name: "p2"},
		{Kind: policy.KindWorkloadEndpoint, Name: "bare"},
	}
	setKeys = []policy.Key{
		{Kind: policy.KindGlobalNetworkSet, Name: "s"},
		{Kind: policy.KindNetworkSet, Namespace: "blue", Name: "s"},
		{Kind: policy.KindNetworkSet, Namespace: "red", Name: "s"},
		{Kind: policy.KindGlobalNetworkSet, Name: "t"},
	}
)

var orders = []float64{100, 100, 200, 1000, -1, 0.5, math.Inf(1)}

// tier draws a tier of the name, or nil: fixed tiers are nearly always there.
func (u *universe) tier(t *rapid.T, name string) *policy.Tier {
	fixed := false
	tier := &policy.Tier{Name: name}
	for _, f := range policy.FixedTiers() {
		if f.Name == name {
			fixed, *tier = true, *f
		}
	}
	if name == "missing" || chance(t, map[bool]int{true: 3, false: 40}[fixed], "no tier "+name) {
		return nil
	}
	if !fixed || chance(t, 20, "tier of the user's own") {
		tier.Order = one(t, orders, "order")
		tier.DefaultAction = policy.Deny
		if coin.Draw(t, "tier ends in Pass") {
			tier.DefaultAction = policy.Pass
		}
	}
	return tier
}

func (u *universe) policy(t *rapid.T, key policy.Key) *policy.Policy {
	p := &policy.Policy{Key: key, Tier: "default", Order: one(t, orders, "order")}
	if chance(t, 60, "tier is not default") {
		p.Tier = one(t, tierNames, "tier")
	}
	p.Selector = selector.All()
	if chance(t, 40, "policy has selector") {
		p.Selector = drawSelector(t)
	}
	if key.Namespace != "" {
		p.Selector = selector.And(selector.Equals(namespaceKey, key.Namespace), p.Selector)
	}
	switch below(t, 4, "types") {
	case 0, 1:
		p.Types = [2]bool{true, true}
	case 2:
		p.Types[policy.Ingress] = true
	case 3:
		p.Types[policy.Egress] = true
	}
	for _, dir := range policy.Directions {
		// Rules of a direction that the policy does not govern never act.
		index := 0
		p.Rules[dir] = some(t, 0, 4, "rules", func() policy.Rule {
			r := drawRule(t)
			r.Index = index
			if !chance(t, 15, "of the same source rule") {
				index++
			}
			return r
		})
	}
	return p
}

func (u *universe) endpoint(t *rapid.T, key policy.Key) *policy.Endpoint {
	ep := &policy.Endpoint{
		Key:    key,
		Node:   one(t, []string{"", "node-a", "node-b"}, "node"),
		Labels: objectLabels(t, key.Namespace, u.nsLabels),
	}
	for range one(t, []int{1, 1, 2, 0, 3}, "addresses") {
		family := below(t, 2, "family")
		addr := baseAddrs[family][upTo(t, 0, endpointAddrs-1, "address")]
		if !holds(ep, addr) {
			ep.Addrs = append(ep.Addrs, addr)
		}
	}
	ep.Ports = some(t, 0, 3, "named ports", func() policy.NamedPort {
		return policy.NamedPort{
			Name:     one(t, portNames, "name"),
			Protocol: one(t, protocols[:3], "protocol"),
			Port:     one(t, portEdges, "port"),
		}
	})
	ep.Profiles = drawProfiles(t, []string{policy.NamespaceProfile(key.Namespace)})
	if coin.Draw(t, "link known") {
		ep.Interface = fmt.Sprintf("tw-%s-%s", key.Namespace, key.Name)
	}
	ep.Precedence = one(t, []int32{0, 0, 1, -1}, "precedence")
	return ep
}

func (u *universe) set(t *rapid.T, key policy.Key) *policy.Set {
	s := &policy.Set{Key: key, Labels: objectLabels(t, key.Namespace, u.nsLabels)}
	s.Nets = append(netsOf(t, 0, 3), netsOf(t, 0, 2)...) // the families of a set may differ
	s.DNSLearned, s.Internal = chance(t, 20, "learned set"), chance(t, 20, "internal set")
	return s
}
