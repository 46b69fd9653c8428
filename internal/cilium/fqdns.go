package cilium

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/dns"
)

// names returns what DNS names stand for: addresses of the outside world.
func (r *ruleConverter) names() []peer {
	var domains []string
	for i, f := range r.fqdns {
		at := index(r.word+"FQDNs", i)
		switch {
		case (f.MatchName == "") == (f.MatchPattern == ""):
			r.invalid(r.field+"."+at, "expected either matchName or matchPattern")
		case strings.Contains(f.MatchName, "*"):
			r.invalid(r.field+"."+at+".matchName", "%q is a pattern: expected a name; patterns are for matchPattern", f.MatchName)
		case f.MatchName != "":
			domains = append(domains, r.domain(at+".matchName", f.MatchName))
		default:
			domain, ok := pattern(f.MatchPattern)
			if !ok {
				r.losePart(at+".matchPattern", "%q cannot be expressed: only **.NAME can, which is all names below NAME", f.MatchPattern)
				continue
			}
			domains = append(domains, r.domain(at+".matchPattern", domain))
		}
	}
	if len(domains) == 0 || r.isInvalid {
		return nil
	}
	slices.Sort(domains)
	domains = slices.Compact(domains)
	sum := fmt.Sprintf("fqdns-%.6x", sha256.Sum256([]byte(strings.Join(domains, ","))))
	set := r.newSet(sum, "cilium-"+sum)
	set.Spec.AllowedEgressDomains = domains
	return []peer{{EntityRule: v3.EntityRule{Selector: labelEntity + " == '" + sum + "'", NotSelector: r.inside()}}}
}

// domain returns a domain in normal form.
func (r *ruleConverter) domain(field, text string) string {
	d, err := dns.ParseDomain(text)
	if err != nil {
		r.invalid(r.field+"."+field, "%v", err)
	}
	return d.String()
}

// pattern returns the domain that means the same as a pattern. A star is any letters
// of one label there, and here any number of whole labels.
func pattern(text string) (domain string, ok bool) {
	if !strings.Contains(text, "*") {
		return text, true
	}
	stars, rest, found := strings.Cut(text, ".")
	found = found && len(stars) > 1 && strings.Trim(stars, "*") == ""
	return "*." + rest, found && rest != "" && !strings.Contains(rest, "*")
}
