package ends

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

// ResolveFlag is what --resolve says of names, since nothing is asked of a DNS server.
type ResolveFlag struct {
	texts []string
	facts []dns.Record
}

// Register adds the flag.
func (f *ResolveFlag) Register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.texts, "resolve", nil,
		"NAME=ADDRESS: decide as if the source had resolved a name to this address, for rules with domains; may be repeated")
}

// Parse reads the flag.
func (f *ResolveFlag) Parse() error {
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
			f.facts = append(f.facts, dns.Record{Name: d.Name, Addr: addr.Unmap(), TTL: time.Hour})
		}
	}
	return nil
}

// Learn adds to a model what is known of the domains in it.
func (f *ResolveFlag) Learn(m *policy.Model) {
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

// Names returns the names.
func (f *ResolveFlag) Names() []string {
	var out []string
	for _, fact := range f.facts {
		out = append(out, fact.Name)
	}
	return out
}

// Addresses returns the addresses of a name; none if nothing is known of it.
func (f *ResolveFlag) Addresses(text string) []netip.Addr {
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
func (r Resolver) resolvedEnd(text string) (End, bool, error) {
	addrs := r.Names.Addresses(text)
	if len(addrs) == 0 {
		return End{}, false, nil
	}
	if len(addrs) == 1 {
		e, err := r.endAt(addrs[0])
		if e.Endpoint == nil && !e.IsNode {
			e.Name = text
		}
		return e, true, err
	}
	return End{Name: text, Addrs: addrs}, true, nil
}
