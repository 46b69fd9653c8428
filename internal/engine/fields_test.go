package engine_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// An object that changes in one field, whichever it is, leads to the tables that are
// made of its new version from scratch.
func TestEveryFieldOfAnObjectIsFollowed(t *testing.T) {
	workload := modeltest.Filled[policy.Endpoint]()
	workload.Key.Kind, workload.Host = policy.KindPod, nil
	set, tier := modeltest.Filled[policy.Set](), modeltest.Filled[policy.Tier]()
	set.Key.Kind, set.Internal, set.DNSLearned = policy.KindNetworkSet, false, false
	tier.DefaultAction = policy.Deny

	// What has something to say of each of them.
	rules := []policy.Rule{{Action: policy.Log, Source: policy.Peer{Ports: &policy.Ports{Names: []string{workload.Ports[0].Name}}}}}
	for _, peer := range []policy.PeerSet{{}, {Internal: true}, {DNSLearned: true}, {EndpointsOnly: true}} {
		peer.Selector = selector.Has(set.Labels[0].Key)
		rules = append(rules, policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: &peer}})
	}
	rest := func() *policy.Model {
		return &policy.Model{
			Tiers: []*policy.Tier{{Name: "other", Order: 100, DefaultAction: policy.Pass}, {Name: "default", Order: 300, DefaultAction: policy.Deny}},
			Policies: []*policy.Policy{
				{
					Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "in-the-tier"}, Tier: tier.Name, Selector: selector.All(),
					Types: [2]bool{true, true}, Rules: [2][]policy.Rule{rules, rules}, Host: policy.HostOptions{ApplyOnForward: true},
				}, {
					Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "in-another"}, Tier: "other", Selector: selector.Has(workload.Labels[0].Key),
					Types: [2]bool{true, true}, Rules: [2][]policy.Rule{{{Action: policy.Pass}}, {{Action: policy.Pass}}},
				},
			},
			Endpoints: []*policy.Endpoint{&workload}, Sets: []*policy.Set{&set},
		}
	}
	with := func(change func(m *policy.Model)) *policy.Model {
		m := rest()
		m.Tiers = append(m.Tiers, &tier)
		change(m)
		return m
	}
	t.Run("workload", func(t *testing.T) {
		followed(t, workload, func(v *policy.Endpoint) *policy.Model {
			return with(func(m *policy.Model) { m.Endpoints = []*policy.Endpoint{v} })
		})
	})
	t.Run("host endpoint", func(t *testing.T) {
		host := modeltest.Filled[policy.Endpoint]()
		host.Key.Kind, host.Profiles = policy.KindHostEndpoint, nil
		followed(t, host, func(v *policy.Endpoint) *policy.Model {
			return with(func(m *policy.Model) { m.Endpoints = append(m.Endpoints, v) })
		})
	})
	t.Run("profile", func(t *testing.T) {
		base := modeltest.Filled[policy.Policy]()
		base.Key = policy.ProfileKey("p")
		base.Tier, base.Selector, base.Host = "", selector.Not(selector.All()), policy.HostOptions{}
		named := workload
		named.Profiles = []string{"p"}
		followed(t, base, func(v *policy.Policy) *policy.Model {
			return &policy.Model{Policies: []*policy.Policy{v}, Endpoints: []*policy.Endpoint{&named}, Sets: []*policy.Set{&set}}
		})
	})
	t.Run("set", func(t *testing.T) {
		followed(t, set, func(v *policy.Set) *policy.Model {
			return with(func(m *policy.Model) { m.Sets = []*policy.Set{v} })
		})
	})
	t.Run("tier", func(t *testing.T) {
		followed(t, tier, func(v *policy.Tier) *policy.Model {
			if v.DefaultAction != policy.Deny {
				v.DefaultAction = policy.Pass // the only other one
			}
			m := rest()
			m.Tiers = append(m.Tiers, v)
			return m
		})
	})
	t.Run("policy", func(t *testing.T) {
		base := modeltest.Filled[policy.Policy]()
		base.Key.Kind = policy.KindNetworkPolicy
		base.Tier, base.Selector, base.Host = "default", selector.All(), policy.HostOptions{}
		followed(t, base, func(v *policy.Policy) *policy.Model {
			return with(func(m *policy.Model) { m.Policies = append(m.Policies[1:], v) })
		})
	})
}

// followed holds the step from an object to each of its variants against the model
// with that one.
func followed[T any](t *testing.T, base T, with func(*T) *policy.Model) {
	t.Helper()
	before, differ := with(&base), 0
	for _, v := range modeltest.Variants(base) {
		after := with(&v.Value)
		e, tb := engine.New(nil), newTables()
		e.Apply(modeltest.Changes(nil, before)...)
		tb.mustApply(t, e.Flush())
		e.Apply(modeltest.Changes(before, after)...)
		delta := e.Flush()
		if delta != nil {
			differ++
		}
		tb.mustApply(t, delta)
		sameTables(t, tb, fromScratch(t, after), v.Path)
	}
	if differ == 0 {
		t.Error("no field of it changes anything")
	}
}
