package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// expand puts in the place of each rule whose destination is a service one for
// each protocol of each set of ports that its endpoints have. A rule of a service
// without endpoints stays as it is, and matches nothing. The policy is changed.
func (t *serviceTable) expand(p *policy.Policy) *policy.Policy {
	for dir, rules := range p.Rules {
		if !slices.ContainsFunc(rules, func(r policy.Rule) bool { return isServiceTemplate(&r) }) {
			continue
		}
		var out []policy.Rule
		for i := range rules {
			if !isServiceTemplate(&rules[i]) {
				out = append(out, rules[i])
				continue
			}
			out = append(out, t.expandRule(&rules[i])...)
		}
		p.Rules[dir] = out
	}
	return p
}

// isServiceTemplate reports whether the destination of a rule is a service.
func isServiceTemplate(r *policy.Rule) bool {
	_, is := r.Destination.Set.Service()
	return is
}

// expandRule returns what a rule to a service comes to.
func (t *serviceTable) expandRule(r *policy.Rule) []policy.Rule {
	var out []policy.Rule
	key, _ := r.Destination.Set.Service()
	s := t.byKey[key]
	if s == nil {
		return []policy.Rule{*r}
	}
	groups := s.groups
	if s.derived != nil {
		groups = s.derived
	}
	for i := range groups {
		g := &groups[i]
		to := source.ServicePeerSet(source.LabelServicePorts, key, g.text())
		to.DNSLearned = r.Destination.Set.DNSLearned
		for rest := g.ports; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(p source.ServicePort) bool { return p.Protocol != rest[0].Protocol })
			if n < 0 {
				n = len(rest)
			}
			if r.Protocol == nil || *r.Protocol == rest[0].Protocol {
				one := *r
				protocol := rest[0].Protocol
				one.Protocol = &protocol
				one.Destination.Set, one.Destination.Ports = to, &policy.Ports{}
				for _, p := range rest[:n] {
					one.Destination.Ports.Ranges = append(one.Destination.Ports.Ranges, policy.PortRange{First: p.Port, Last: p.Port})
				}
				out = append(out, one)
			}
			rest = rest[n:]
		}
	}
	if out == nil {
		return []policy.Rule{*r}
	}
	return out
}
