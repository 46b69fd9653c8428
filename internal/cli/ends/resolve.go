package ends

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// ResolveFlag is what --resolve and --learned say of names, since nothing is asked of a
// DNS server, and for which names addresses of the cluster are believed.
type ResolveFlag struct {
	texts    []string
	learned  LearnedFlag
	internal InternalFlags

	facts   []dns.Record // of --resolve
	records []dns.Record // of --learned
	aliases []dns.MissedAlias
	domains []dns.Domain // that may have addresses of the cluster
	table   *dns.Table   // of the model that Learn has last seen
}

// Register adds the flags.
func (f *ResolveFlag) Register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.texts, "resolve", nil,
		"NAME=ADDRESS: decide as if the source had resolved a name to this address, for rules with domains; NAME=ALIAS=ADDRESS if it is an alias; may be repeated")
	f.learned.Register(flags)
	f.internal.Register(flags)
}

// Parse reads the flags.
func (f *ResolveFlag) Parse() error {
	var err error
	if f.domains, err = f.internal.Domains(); err != nil {
		return err
	}
	for _, text := range f.texts {
		if err := f.parse(text); err != nil {
			return fmt.Errorf("--resolve %s: %w", text, err)
		}
	}
	learned, err := f.learned.Read()
	if err != nil {
		return err
	}
	records, aliases := learnedRecords(learned)
	f.records, f.aliases = records, append(f.aliases, aliases...)
	return nil
}

// parse reads one NAME=ADDRESS,... or NAME=ALIAS=ADDRESS,...
func (f *ResolveFlag) parse(text string) error {
	parts := strings.Split(text, "=")
	last := len(parts) - 1
	if last < 1 {
		return fmt.Errorf("expected NAME=ADDRESS, such as www.example.com=192.0.2.1")
	}
	names := make([]string, last)
	for i, name := range parts[:last] {
		d, err := dns.ParseDomain(name)
		if err == nil && d.Below {
			err = fmt.Errorf("%q is a domain of many names: expected one of them", name)
		}
		if err != nil {
			return err
		}
		names[i] = d.Name
	}
	for _, alias := range names[1:] {
		f.aliases = append(f.aliases, dns.MissedAlias{Asked: names[0], Alias: alias})
	}
	for a := range strings.SplitSeq(parts[last], ",") {
		addr, err := netip.ParseAddr(a)
		if err != nil || addr.Zone() != "" {
			return fmt.Errorf("%q is no address: expected one such as 192.0.2.1 or 2001:db8::1", a)
		}
		f.facts = append(f.facts, dns.Record{Name: names[0], Addr: addr.Unmap(), TTL: time.Hour})
	}
	return nil
}

// Learn adds to a model what is known of the domains in it. resources are what it was
// made of, which say whose addresses are.
func (f *ResolveFlag) Learn(m *policy.Model, resources []store.Resource) {
	f.table = dns.NewTable(dns.DefaultLimits)
	f.table.SetGuard(dns.Guard{Owner: ownerIn(m, resources), Internal: f.domains})
	for _, s := range m.Sets {
		f.table.SetDomains(s.Key, s)
	}
	at := time.Unix(0, 0)
	for _, x := range f.aliases {
		f.table.NoteAliases(x.Asked, []string{x.Alias}, netip.IPv4Unspecified(), at)
	}
	for _, records := range [][]dns.Record{f.facts, f.records} {
		f.table.Learn(records, netip.IPv4Unspecified(), at)
	}
	f.table.Flush(func(c policy.Change) {
		if s, ok := c.Object.(*policy.Set); ok {
			m.Sets = append(m.Sets, s)
		}
	})
}

// ownerIn returns what says whose of the cluster an address is, by a model and what it was
// made of. An address that only stands for an endpoint's is nobody's.
func ownerIn(m *policy.Model, resources []store.Resource) func(netip.Addr) dns.Reason {
	known, taken := dnslearner.NewInventory(), false
	endpoints := map[netip.Addr]bool{}
	isEndpoint := func(a netip.Addr) bool { return endpoints[a] }
	return func(a netip.Addr) dns.Reason {
		if !taken { // few commands ask
			taken = true
			known.Take(&store.Batch{Updated: resources})
			for _, ep := range m.Endpoints {
				for _, addr := range ep.Addrs {
					endpoints[addr.Unmap().WithZone("")] = !ep.PlaceholderAddrs
				}
			}
			var nodes []netip.Addr
			for _, n := range m.Nodes {
				nodes = append(nodes, n.Addrs...)
			}
			known.SetLocal(nodes)
		}
		return known.Owner(a, isEndpoint)
	}
}

// Refused returns the names that are said to have an address and do not open it, with the
// reasons.
func (f *ResolveFlag) Refused(a netip.Addr) []dns.Known {
	return slices.DeleteFunc(f.known(), func(k dns.Known) bool { return k.Addr != a || k.Refused == dns.NoReason })
}

// Notes say which of the names of --resolve do not open the addresses that it gives them,
// or are aliases of what policy names.
func (f *ResolveFlag) Notes() []string {
	var notes []string
	for _, k := range f.known() {
		if k.Refused != dns.NoReason && slices.ContainsFunc(f.facts, func(r dns.Record) bool { return r.Name == k.Name && r.Addr == k.Addr }) {
			notes = append(notes, RefusedNote(&k))
		}
	}
	for _, m := range f.MissedAliases() {
		if slices.ContainsFunc(f.facts, func(r dns.Record) bool { return r.Name == m.Asked }) {
			notes = append(notes, m.String())
		}
	}
	return notes
}

func (f *ResolveFlag) known() []dns.Known {
	if f == nil || f.table == nil {
		return nil
	}
	return f.table.Known()
}

// RefusedNote says why a name does not open the address that it was resolved to, and what
// would.
func RefusedNote(k *dns.Known) string {
	note := fmt.Sprintf("%s resolved to %s, refused: %s; ", k.Name, k.Addr, k.Refused.Describe(k.Addr))
	if !k.Refused.IsInternal() {
		return note + "no name opens it: allow it by nets"
	}
	return note + fmt.Sprintf(`such addresses are for names of the cluster and of --internal-domains: name what has it by a selector, services or nets, or set the annotation %s: "true" on the network set`,
		source.AllowInternalAnnotation)
}

// MissedAliases returns the names of which domains of the model have an alias only.
func (f *ResolveFlag) MissedAliases() []dns.MissedAlias {
	if f == nil || f.table == nil {
		return nil
	}
	return f.table.MissedAliases()
}

// Names returns the names.
func (f *ResolveFlag) Names() []string {
	var out []string
	for _, records := range [][]dns.Record{f.facts, f.records} {
		for _, r := range records {
			out = append(out, r.Name)
		}
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
	for _, records := range [][]dns.Record{f.facts, f.records} {
		for _, r := range records {
			if r.Name == d.Name && !slices.Contains(out, r.Addr) {
				out = append(out, r.Addr)
			}
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
