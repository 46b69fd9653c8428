package translate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

func tierYAML(name string, order int) string {
	return fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: %s}, spec: {order: %d}}\n", name, order)
}

func policyYAML(name, tier string, order int) string {
	return fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: %s}, spec: {tier: %s, order: %d, types: [Ingress]}}\n", name, tier, order)
}

func tierKey(name string) policy.Key { return policy.Key{Kind: policy.KindTier, Name: name} }

func policyKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}
}

// inModel returns the tiers that are not fixed and the policies of a model, in short.
func inModel(tr *translate.Translator) []string {
	var out []string
	tr.Each(func(c policy.Change) {
		switch o := c.Object.(type) {
		case *policy.Tier:
			if !slices.ContainsFunc(policy.FixedTiers(), func(f *policy.Tier) bool { return f.Name == o.Name }) {
				out = append(out, fmt.Sprintf("tier %s %v %s", o.Name, o.Order, o.DefaultAction))
			}
		case *policy.Policy:
			out = append(out, fmt.Sprintf("policy %s/%s %v", o.Tier, c.Key.Name, o.Order))
		}
	})
	slices.Sort(out)
	return out
}

// TestPoliciesNeverLoseTheirTier: whatever is wrong with tiers, and in whatever order it is put
// right, policies that are in force stay in force.
func TestPoliciesNeverLoseTheirTier(t *testing.T) {
	type step struct {
		what    string
		updated string // manifests, one a line
		deleted []policy.Key
		want    []string          // in the model
		states  map[string]string // of objects, with what is wrong with them
	}
	const held = "was deleted, but policies name it (GlobalNetworkPolicy p): it stays in force with order 10 and default action Deny; create it again, or delete these policies or have them name another tier"
	heldOf := func(names string) string {
		return `tier "first" was deleted; it holds for as long as policies name it: create it again, or name one that exists (` + names + `)`
	}
	fixed := "default, kube-admin, kube-baseline"
	begin := step{
		what: "in force", updated: tierYAML("first", 10) + policyYAML("p", "first", 1),
		want: []string{"policy first/p 1", "tier first 10 Deny"}, states: map[string]string{"Tier first": "in force", "GlobalNetworkPolicy p": "in force"},
	}
	tests := map[string][]step{
		"a wrong letter": {
			begin,
			{"typed", policyYAML("p", "frist", 2), nil, begin.want, map[string]string{
				"Tier first":            "in force",
				"GlobalNetworkPolicy p": `last valid version in force: tier "frist" does not exist, so this version of the policy is not enforced, its last valid version is: create the tier, or name one that exists (default, first, kube-admin, kube-baseline); did you mean "first"?`,
			}},
			{"invalid beside", "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: p}, spec: {tier: frist, selector: 'a ='}}\n", nil, begin.want, nil},
			{"put right", policyYAML("p", "first", 3), nil, []string{"policy first/p 3", "tier first 10 Deny"}, begin.states},
		},
		"a policy before its new tier": {
			begin,
			{"the policy", policyYAML("p", "second", 2), nil, begin.want, nil},
			{"the old tier goes", "", []policy.Key{tierKey("first")}, begin.want, nil},
			{"the new one comes", tierYAML("second", 20), nil, []string{"policy second/p 2", "tier second 20 Deny"}, map[string]string{"Tier second": "in force", "GlobalNetworkPolicy p": "in force"}},
		},
		"deleted under its policies": {
			begin,
			{"the tier goes", "", []policy.Key{tierKey("first")}, begin.want, map[string]string{"Tier first": "last valid version in force: " + held, "GlobalNetworkPolicy p": "in force: " + heldOf(fixed)}},
			{"the policy changes", policyYAML("p", "first", 2), nil, []string{"policy first/p 2", "tier first 10 Deny"}, nil},
			{"another comes", policyYAML("q", "first", 3), nil, []string{"policy first/p 2", "policy first/q 3", "tier first 10 Deny"}, nil},
			{"one goes", "", []policy.Key{policyKey("q")}, []string{"policy first/p 2", "tier first 10 Deny"}, map[string]string{"Tier first": "last valid version in force: " + held, "GlobalNetworkPolicy p": "in force: " + heldOf(fixed)}},
			{"an invalid one comes back", "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: first}, spec: {defaultAction: Drop}}\n", nil, []string{"policy first/p 2", "tier first 10 Deny"}, nil},
			{"and goes", "", []policy.Key{tierKey("first")}, []string{"policy first/p 2", "tier first 10 Deny"}, map[string]string{"Tier first": "last valid version in force: " + held, "GlobalNetworkPolicy p": "in force: " + heldOf(fixed)}},
			{"it comes back", tierYAML("first", 30), nil, []string{"policy first/p 2", "tier first 30 Deny"}, begin.states},
			{"and goes", "", []policy.Key{tierKey("first")}, []string{"policy first/p 2", "tier first 30 Deny"}, nil},
			{"with its policies", "", []policy.Key{policyKey("p")}, nil, map[string]string{}},
		},
		"renamed in one step": {
			begin,
			{"all at once", tierYAML("second", 20) + policyYAML("p", "second", 2), []policy.Key{tierKey("first")}, []string{"policy second/p 2", "tier second 20 Deny"}, nil},
		},
		"renamed without its policies": {
			begin,
			{"renamed", tierYAML("second", 20), []policy.Key{tierKey("first")}, []string{"policy first/p 1", "tier first 10 Deny", "tier second 20 Deny"}, map[string]string{
				"Tier first": "last valid version in force: " + held, "Tier second": "in force",
				"GlobalNetworkPolicy p": "in force: " + heldOf("default, kube-admin, kube-baseline, second"),
			}},
			{"the policy follows", policyYAML("p", "second", 2), nil, []string{"policy second/p 2", "tier second 20 Deny"}, map[string]string{"Tier second": "in force", "GlobalNetworkPolicy p": "in force"}},
		},
		"together with its policies": {
			begin,
			{"all gone", "", []policy.Key{tierKey("first"), policyKey("p")}, nil, map[string]string{}},
		},
		"one that was never in force": {
			{"no tier", policyYAML("p", "first", 1), nil, nil, map[string]string{
				"GlobalNetworkPolicy p": `not in force: tier "first" does not exist, so the policy is not enforced: create the tier, or name one that exists (default, kube-admin, kube-baseline)`,
			}},
			{"its tier", tierYAML("first", 10), nil, begin.want, begin.states},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			tr := translate.New(translate.Options{})
			for _, s := range steps {
				tr.Apply(store.Batch{Updated: read(t, strings.Join(strings.SplitAfter(s.updated, "\n"), "---\n")), Deleted: s.deleted}, translate.Sink{})
				diff(t, s.what, s.want, inModel(tr))
				if s.states == nil {
					continue
				}
				got := map[string]string{}
				for _, st := range tr.Statuses() {
					text := st.State.String()
					for _, f := range st.Findings {
						text += ": " + f.Message
					}
					got[store.ObjectName(st.Key)] = text
				}
				diff(t, s.what+": statuses", s.states, got)
			}
		})
	}
}

// TestTiersHoldInWhateverOrder: for random steps, a policy that is in force stays so while the
// store has it, in a tier that is in force; the model that changes make is that which Each gives.
func TestTiersHoldInWhateverOrder(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c"})
	rapid.Check(t, func(rt *rapid.T) {
		tr := translate.New(translate.Options{})
		model := map[policy.Key]policy.Object{}
		present := map[policy.Key]bool{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			var b store.Batch
			touched := map[policy.Key]bool{}
			for range rapid.IntRange(1, 4).Draw(rt, "objects") {
				kind, name := rapid.SampledFrom([]string{policy.KindTier, policy.KindGlobalNetworkPolicy}).Draw(rt, "kind"), names.Draw(rt, "name")
				key := policy.Key{Kind: kind, Name: name}
				if touched[key] {
					continue
				}
				touched[key] = true
				switch order := rapid.IntRange(1, 3).Draw(rt, "order"); {
				case rapid.IntRange(0, 2).Draw(rt, "delete") == 0:
					b.Deleted = append(b.Deleted, key)
					delete(present, key)
				case kind == policy.KindTier:
					b.Updated = append(b.Updated, read(t, tierYAML(name, order))...)
					present[key] = true
				default:
					b.Updated = append(b.Updated, read(t, policyYAML(name, names.Draw(rt, "tier"), order))...)
					present[key] = true
				}
			}
			before := maps.Clone(model)
			tr.Apply(b, translate.Sink{Change: func(c policy.Change) {
				if c.Object == nil {
					delete(model, c.Key)
				} else {
					model[c.Key] = c.Object
				}
			}})
			whole := map[policy.Key]policy.Object{}
			tr.Each(func(c policy.Change) { whole[c.Key] = c.Object })
			diff(rt, "Each and changes", whole, model)
			for key, o := range model {
				p, isPolicy := o.(*policy.Policy)
				if isPolicy && model[tierKey(p.Tier)] == nil {
					rt.Errorf("%v is in the model, and its tier %s is not", key, p.Tier)
				}
				if _, custom := o.(*policy.Tier); custom && len(key.Name) == 1 && !present[key] && !named(model, key.Name) {
					rt.Errorf("%v is in the model, and nobody names it", key)
				}
			}
			for key, o := range before {
				if _, isPolicy := o.(*policy.Policy); isPolicy && present[key] && model[key] == nil {
					rt.Errorf("%v was in force, and is no more", key)
				}
			}
		}
	})
}

func named(model map[policy.Key]policy.Object, tier string) bool {
	for _, o := range model {
		if p, ok := o.(*policy.Policy); ok && p.Tier == tier {
			return true
		}
	}
	return false
}
