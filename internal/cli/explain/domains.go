package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

// domainNotes say what a verdict has to do with what names resolve to: that it may depend
// on that, which is not known here; that a name was resolved to an address which it must
// not have; that a name was asked for of which policy knows an alias only.
func (x *explanation) domainNotes(names *ends.ResolveFlag) []string {
	if x.result.Verdict == policy.Allow {
		return nil
	}
	var notes []string
	for _, k := range names.Refused(x.flow.Dst) {
		notes = append(notes, ends.RefusedNote(&k))
	}
	domains := x.domainsAsked()
	for _, m := range names.MissedAliases() {
		if slices.ContainsFunc(domains, func(text string) bool {
			d, err := dns.ParseDomain(text)
			return err == nil && d.Holds(m.Alias) && !d.Holds(m.Asked)
		}) {
			notes = append(notes, m.String())
		}
	}
	if len(domains) == 0 || x.dst.Endpoint != nil || x.dst.IsNode || len(notes) > 0 {
		return notes
	}
	const most = 3
	more := ""
	if len(domains) > most {
		more = fmt.Sprintf(" and %d more", len(domains)-most)
		domains = domains[:most]
	}
	return append(notes, fmt.Sprintf("rules that were asked allow domains (%s%s), whose addresses are known only where they are resolved: --resolve NAME=%s decides as if a name had this address",
		strings.Join(domains, ", "), more, x.flow.Dst))
}

// domainsAsked returns the domains of the rules that were asked, sorted.
func (x *explanation) domainsAsked() []string {
	var domains []string
	for _, tier := range x.result.Egress.Trace {
		for _, p := range tier.Policies {
			domains = append(domains, domainsOf(x.model, p)...)
		}
	}
	for _, p := range x.result.Egress.Profiles {
		domains = append(domains, domainsOf(x.model, p)...)
	}
	slices.Sort(domains)
	return slices.Compact(domains)
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
