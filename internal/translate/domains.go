package translate

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// labelDomains is carried by sets of domains that rules name themselves; its value
// tells them apart. A colon can stand neither in a label's key nor in a selector.
const labelDomains = "rule:domains"

// domains parses a list of domains: in normal form, sorted, each once.
func (ps *problems) domains(field string, texts []string) []string {
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

// domainEntities translates the domains of a rule, and the nets that may be the
// destination instead: what the rule selects, and the set that it selects, which goes
// to parsed.sets. Both are nil if there are no domains or something is wrong with one.
// Rules that name the same share the set.
func domainEntities(ps *problems, field string, texts []string, nets []netip.Prefix) (*policy.PeerSet, *policy.Set) {
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
	what := "domain "
	if len(domains) > 1 {
		what = "domains "
	}
	or := ""
	if len(parts) > 0 {
		or = " or " + strings.Join(parts, ", ")
	}
	return &policy.PeerSet{
		Selector: selector.Equals(labelDomains, name), DNSLearned: true, Internal: true,
		AsWritten: what + strings.Join(domains, ", ") + or,
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

// domainPeer translates the domains of one side of a rule, nil for none. Nets beside
// them are further destinations, as they are in a network set with both: no address
// has to be in a net and belong to a name as well.
func (r *calicoRule) domainPeer(field, side string, in *v3.EntityRule, nets []netip.Prefix) *policy.PeerSet {
	if len(in.Domains) == 0 {
		return nil
	}
	at := field + ".domains"
	switch {
	case r.dir != policy.Egress || side != "destination":
		r.add(at, "domains are for the destination of egress rules only: remove them")
		return nil
	case r.rule.Action != v3.Allow:
		r.add(at, "domains are for Allow rules only, but the action is %s: which addresses a name has is only known once it was asked for, so nothing else can rely on it", r.rule.Action)
		return nil
	}
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"selector", !blank(in.Selector)},
		{"notSelector", !blank(in.NotSelector)},
		{"namespaceSelector", !blank(in.NamespaceSelector)},
		{"serviceAccounts", in.ServiceAccounts != nil},
		{"services", in.Services != nil},
	} {
		if other.set {
			r.add(field+"."+other.name, "cannot stand beside domains: write a rule for each")
		}
	}
	entities, set := domainEntities(&r.problems, at, in.Domains, nets)
	if set != nil {
		r.sets = append(r.sets, set)
	}
	return entities
}

// learned has the destinations of egress Allow rules denote what is learned for the
// domains of the sets that they select. Nothing else may: a Deny would only take
// hold once somebody had asked for the name.
func (r *calicoRule) learned(side string, in *policy.PeerSet) *policy.PeerSet {
	if in != nil && r.dir == policy.Egress && side == "destination" && r.rule.Action == v3.Allow {
		in.DNSLearned = true
	}
	return in
}
