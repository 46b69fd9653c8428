package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// domainNote says that a verdict may depend on what names resolve to, which is not
// known here; "" if it does not.
func (x *explanation) domainNote() string {
	if x.result.Verdict == policy.Allow || x.dst.Endpoint != nil || x.dst.IsNode {
		return ""
	}
	var domains []string
	for _, tier := range x.result.Egress.Trace {
		for _, p := range tier.Policies {
			domains = append(domains, domainsOf(x.model, p)...)
		}
	}
	slices.Sort(domains)
	domains = slices.Compact(domains)
	if len(domains) == 0 {
		return ""
	}
	const most = 3
	more := ""
	if len(domains) > most {
		more = fmt.Sprintf(" and %d more", len(domains)-most)
		domains = domains[:most]
	}
	return fmt.Sprintf("rules that were asked allow domains (%s%s), whose addresses are known only where they are resolved: --resolve NAME=%s decides as if a name had this address",
		strings.Join(domains, ", "), more, x.flow.Dst)
}

// domainsOf returns the domains that the Allow rules of a policy denote which did not match.
func domainsOf(m *policy.Model, of policy.PolicyTrace) []string {
	i := slices.IndexFunc(m.Policies, func(p *policy.Policy) bool { return p.Key == of.Key })
	if i < 0 {
		return nil
	}
	var out []string
	for _, r := range m.Policies[i].Rules[policy.Egress] {
		ent := r.Destination.Set
		if ent == nil || !ent.DNSLearned {
			continue
		}
		for _, s := range m.Sets {
			if !s.DNSLearned && s.Internal == ent.Internal && ent.Selector.Match(s.Labels) {
				out = append(out, s.Domains...)
			}
		}
	}
	return out
}
