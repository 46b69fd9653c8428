package source

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// labelDomains is carried by sets of domains that rules name themselves; its value
// tells them apart. A colon can stand neither in a label's key nor in a selector.
const labelDomains = "rule:domains"

// domains parses a list of domains: in normal form, sorted, each once.
func (ps *Problems) domains(field string, texts []string) []string {
	var out []string
	for i, text := range texts {
		d, err := dns.ParseDomain(text)
		if err != nil {
			ps.add(at(field, i), "%v", err)
			continue
		}
		out = append(out, d.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// domainsPeerSet translates the domains of a rule, and the nets that may be the
// destination instead: what the rule selects, and the set that it selects, which goes
// to Parsed.RuleSets. Both are nil if there are no domains or something is wrong with one.
// Rules that name the same share the set.
func domainsPeerSet(ps *Problems, field string, texts []string, nets []netip.Prefix) (*policy.PeerSet, *policy.Set) {
	before := len(*ps)
	domains := ps.domains(field, texts)
	if len(domains) == 0 || len(*ps) > before {
		return nil, nil
	}
	var parts []string
	for _, n := range nets {
		parts = append(parts, n.String())
	}
	slices.Sort(parts)
	name := domainsName(slices.Concat(domains, parts))
	set := &policy.Set{
		Key:      policy.Key{Kind: policy.KindDomains, Name: name},
		Labels:   selector.NewLabels(map[string]string{labelDomains: name}),
		Nets:     nets,
		Domains:  domains,
		Internal: true,
	}
	return &policy.PeerSet{
		Selector: selector.Equals(labelDomains, name), DNSLearned: true, Internal: true,
		AsWritten: policy.DomainsPeer{Domains: strings.Join(domains, ", "), Nets: strings.Join(parts, ", ")},
	}, set
}

// domainsName names a list of domains: by themselves, or by a checksum if they are many.
func domainsName(domains []string) string {
	const most = 120
	name := strings.Join(domains, ",")
	if len(name) <= most {
		return name
	}
	return fmt.Sprintf("%s,...(%d)#%x", domains[0], len(domains), sha256.Sum256([]byte(name)))
}
