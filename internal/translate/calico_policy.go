package translate

import (
	"math"
	"slices"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// defaultTier is the tier of policies that name none.
const defaultTier = "default"

// calicoPolicy is a policy of projectcalico.org/v3, of either scope: the spec of
// a global policy can say all that a namespaced one can.
type calicoPolicy struct {
	key  policy.Key // its namespace is empty for a global policy
	spec *v3.GlobalNetworkPolicySpec
	sets []*policy.Set // that rules refer to: see ruleSets
	problems
}

// fromNetworkPolicy returns the spec of a global policy that says the same.
func fromNetworkPolicy(s *v3.NetworkPolicySpec) *v3.GlobalNetworkPolicySpec {
	return &v3.GlobalNetworkPolicySpec{
		Tier:                   s.Tier,
		Order:                  s.Order,
		Ingress:                s.Ingress,
		Egress:                 s.Egress,
		Selector:               s.Selector,
		Types:                  s.Types,
		ServiceAccountSelector: s.ServiceAccountSelector,
		PerformanceHints:       s.PerformanceHints,
	}
}

// translateCalicoPolicy translates a policy, and gives the sets that its rules
// refer to; the result is meaningless if there are problems.
func translateCalicoPolicy(key policy.Key, spec *v3.GlobalNetworkPolicySpec) (*policy.Policy, []*policy.Set, problems) {
	c := &calicoPolicy{key: key, spec: spec}
	c.policyName(key)
	for i, h := range spec.PerformanceHints {
		field := at("spec.performanceHints", i)
		c.word(field, string(h), string(v3.AssumeNeededOnEveryNode))
		if slices.Contains(spec.PerformanceHints[:i], h) {
			c.add(field, "%s is given twice: remove one", h)
		}
	}
	p := &policy.Policy{
		Key:      key,
		Tier:     tierOrDefault(spec.Tier),
		Order:    orderOrLast(spec.Order),
		Selector: c.appliesTo(),
		Types:    c.types(),
		Host:     c.hostOptions(),
	}
	p.Rules[policy.Ingress] = c.rules("spec.ingress", policy.Ingress, spec.Ingress)
	p.Rules[policy.Egress] = c.rules("spec.egress", policy.Egress, spec.Egress)
	return p, c.sets, c.problems
}

func tierOrDefault(name string) string {
	if name == "" {
		return defaultTier
	}
	return name
}

// orderOrLast returns the order, or what sorts after every order.
func orderOrLast(order *float64) float64 {
	if order == nil {
		return math.Inf(1)
	}
	return *order
}

// appliesTo joins the selectors that say which endpoints the policy applies to.
func (c *calicoPolicy) appliesTo() *selector.Selector {
	parts := make([]*selector.Selector, 0, 4)
	if c.key.Namespace != "" {
		parts = append(parts, selector.Equals(labelNamespace, c.key.Namespace))
	}
	parts = append(parts, c.selector("spec.selector", c.spec.Selector))
	if !blank(c.spec.NamespaceSelector) {
		parts = append(parts, asksNamespace(c.selector("spec.namespaceSelector", c.spec.NamespaceSelector)))
	}
	if !blank(c.spec.ServiceAccountSelector) {
		parts = append(parts, asksAccount(c.selector("spec.serviceAccountSelector", c.spec.ServiceAccountSelector)))
	}
	return selector.And(parts...)
}

// types returns the directions that the policy governs.
func (c *calicoPolicy) types() [2]bool {
	var governs [2]bool
	for i, t := range c.spec.Types {
		field := at("spec.types", i)
		c.word(field, string(t), string(v3.PolicyTypeIngress), string(v3.PolicyTypeEgress))
		if slices.Contains(c.spec.Types[:i], t) {
			c.add(field, "%s is given twice: remove one", t)
		}
		governs[policy.Ingress] = governs[policy.Ingress] || t == v3.PolicyTypeIngress
		governs[policy.Egress] = governs[policy.Egress] || t == v3.PolicyTypeEgress
	}
	if len(c.spec.Types) == 0 {
		// A policy without any rules governs ingress.
		governs[policy.Egress] = len(c.spec.Egress) > 0
		governs[policy.Ingress] = len(c.spec.Ingress) > 0 || !governs[policy.Egress]
	}
	return governs
}

func (c *calicoPolicy) rules(field string, dir policy.Direction, rules []v3.Rule) []policy.Rule {
	if len(rules) == 0 {
		return nil
	}
	out := make([]policy.Rule, 0, len(rules))
	for i := range rules {
		r := calicoRule{calicoPolicy: c, field: at(field, i), rule: &rules[i], dir: dir}
		out = append(out, r.translate(i))
	}
	return out
}

// translateTier translates a tier.
func translateTier(t *v3.Tier) (*policy.Tier, problems) {
	var ps problems
	ps.shortName("metadata.name", t.Name, "tier")
	out := &policy.Tier{Name: t.Name, Order: orderOrLast(t.Spec.Order), DefaultAction: policy.Deny}
	a := t.Spec.DefaultAction
	known := a == nil || ps.word("spec.defaultAction", string(*a), string(v3.Deny), string(v3.Pass))
	if a != nil && *a == v3.Pass {
		out.DefaultAction = policy.Pass
	}
	for _, fixed := range policy.FixedTiers() {
		if fixed.Name != t.Name {
			continue
		}
		// What other tools rely on: Pass in tier default would turn every default
		// deny off.
		if t.Spec.Order != nil && *t.Spec.Order != fixed.Order {
			ps.add("spec.order", "%v: tier %s always has order %.0f: leave the field out", *t.Spec.Order, t.Name, fixed.Order)
		}
		if a != nil && known && out.DefaultAction != fixed.DefaultAction {
			ps.add("spec.defaultAction", "%s: tier %s always has %v: leave the field out", *a, t.Name, fixed.DefaultAction)
		}
		out = fixed
	}
	return out, ps
}
