package source

import (
	"slices"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// calicoPolicy is a policy of projectcalico.org/v3, of either scope: the spec of
// a global policy can say all that a namespaced one can.
type calicoPolicy struct {
	key  policy.Key // its namespace is empty for a global policy
	spec *v3.GlobalNetworkPolicySpec
	sets []*policy.Set // that rules refer to: see Parsed.RuleSets
	Problems
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

// translateCalicoPolicy translates a policy, and returns the sets that its rules
// refer to; the result is meaningless if there are problems.
func translateCalicoPolicy(key policy.Key, spec *v3.GlobalNetworkPolicySpec) (*policy.Policy, []*policy.Set, Problems) {
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
	return p, c.sets, c.Problems
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
