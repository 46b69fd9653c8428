package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

// resolveFlag is what --resolve says of names, since nothing is asked of a DNS server.
type resolveFlag struct {
	texts []string
	facts []dns.Fact
}

func (f *resolveFlag) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.texts, "resolve", nil,
		"NAME=ADDRESS: decide as if the source had resolved a name to this address, for rules with domains; may be repeated")
}

// parse reads the flag.
func (f *resolveFlag) parse() error {
	for _, text := range f.texts {
		name, addrs, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("--resolve %s: expected NAME=ADDRESS, such as www.example.com=192.0.2.1", text)
		}
		d, err := dns.ParseDomain(name)
		if err == nil && d.Below {
			err = fmt.Errorf("%q is a domain of many names: expected one of them", name)
		}
		if err != nil {
			return fmt.Errorf("--resolve %s: %w", text, err)
		}
		for a := range strings.SplitSeq(addrs, ",") {
			addr, err := netip.ParseAddr(a)
			if err != nil || addr.Zone() != "" {
				return fmt.Errorf("--resolve %s: %q is no address: expected one such as 192.0.2.1 or 2001:db8::1", text, a)
			}
			f.facts = append(f.facts, dns.Fact{Name: d.Name, Addr: addr.Unmap(), TTL: time.Hour})
		}
	}
	return nil
}

// learn adds to a model what is known of the domains in it.
func (f *resolveFlag) learn(m *policy.Model) {
	table := dns.NewTable(dns.DefaultLimits)
	for _, s := range m.Sets {
		table.SetDomains(s.Key, s)
	}
	table.Learn(f.facts, netip.IPv4Unspecified(), time.Unix(0, 0))
	table.Flush(func(c policy.Change) {
		if s, ok := c.Object.(*policy.Set); ok {
			m.Sets = append(m.Sets, s)
		}
	})
}

// all returns the names.
func (f *resolveFlag) all() []string {
	var out []string
	for _, fact := range f.facts {
		out = append(out, fact.Name)
	}
	return out
}

// named returns the addresses of a name; none if nothing is known of it.
func (f *resolveFlag) named(text string) []netip.Addr {
	d, err := dns.ParseDomain(text)
	if f == nil || err != nil || d.Below {
		return nil
	}
	var out []netip.Addr
	for _, fact := range f.facts {
		if fact.Name == d.Name && !slices.Contains(out, fact.Addr) {
			out = append(out, fact.Addr)
		}
	}
	return out
}

// resolvedEnd returns the end that a name of DNS stands for; false if nothing is known
// of the name.
func (r resolver) resolvedEnd(text string) (end, bool, error) {
	addrs := r.names.named(text)
	if len(addrs) == 0 {
		return end{}, false, nil
	}
	if len(addrs) == 1 {
		e, err := r.endAt(addrs[0])
		if e.endpoint == nil && !e.isNode {
			e.name = text
		}
		return e, true, err
	}
	return end{name: text, addrs: addrs}, true, nil
}

// domainNote says that a verdict may depend on what names resolve to, which is not
// known here; "" if it does not.
func (f *resolveFlag) domainNote(x *explanation) string {
	if x.result.Verdict == policy.Allow || x.dst.endpoint != nil || x.dst.isNode {
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
