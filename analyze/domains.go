package analyze

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

// Which addresses a domain has is not known here. So each has one that stands for
// those that no net of the model names, beside the nets that hold a whole family:
// it is learned for every set whose domains hold the domain. What is allowed to it
// is what is allowed to an address of the domain, and of nothing else.

// placeholders are the addresses that stand for domains.
type placeholders struct {
	domains []dns.Domain // sorted by text
	texts   []string
	// addrs has, by family, an address for each domain, and one for an address of none
	// of them at the end; nothing where the model's nets tell all addresses apart.
	addrs  [2][]netip.Addr
	ranges [2][]addrRange // with the classes, once these are known
}

// withDomains returns the placeholders for some domains of a model, and the sets by which
// these are learned. Nil for domains is all of the model, but for the names whose
// addresses are known.
func withDomains(m *policy.Model, domains, known []string) (placeholders, []*policy.Set) {
	if domains == nil {
		domains = domainsOf(m, known)
	}
	var s placeholders
	for _, text := range domains {
		if d, err := dns.ParseDomain(text); err == nil {
			s.domains, s.texts = append(s.domains, d), append(s.texts, d.String())
		}
	}
	if len(s.domains) == 0 {
		return placeholders{}, nil
	}
	for family := range s.addrs {
		s.addrs[family] = freeAddrs(m, family, len(s.domains)+1)
	}
	index := make(map[string]int, len(s.texts))
	for i, text := range s.texts {
		index[text] = i
	}
	var sets []*policy.Set
	for _, of := range m.Sets {
		if of.DNSLearned || len(of.Domains) == 0 {
			continue
		}
		twin := &policy.Set{
			Key:    policy.Key{Kind: policy.KindLearned, Namespace: of.Key.Namespace, Name: "reach/" + of.Key.String()},
			Labels: of.Labels, Internal: of.Internal, DNSLearned: true,
		}
		for _, text := range of.Domains {
			d, err := dns.ParseDomain(text)
			if err != nil {
				continue // translate has checked it
			}
			if i, one := index[d.String()]; one && !d.Below {
				twin.Nets = append(twin.Nets, s.netsOf(i)...)
			}
			for i := range s.domains {
				// A name below a domain, of which no more is known, is written as the domain itself.
				if d.Below && d.Holds(s.texts[i]) {
					twin.Nets = append(twin.Nets, s.netsOf(i)...)
				}
			}
		}
		sets = append(sets, twin)
	}
	return s, sets
}

// domainsOf lists the domains of a model's sets that rules could refer to, sorted.
func domainsOf(m *policy.Model, known []string) []string {
	var out []string
	for _, s := range m.Sets {
		for _, text := range s.Domains {
			if d, err := dns.ParseDomain(text); err == nil && !slices.Contains(known, d.String()) {
				out = append(out, d.String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *placeholders) netsOf(i int) []netip.Prefix {
	var out []netip.Prefix
	for _, list := range s.addrs {
		if list != nil {
			out = append(out, netip.PrefixFrom(list[i], list[i].BitLen()))
		}
	}
	return out
}

// all returns the addresses.
func (s *placeholders) all() []netip.Addr { return slices.Concat(s.addrs[0], s.addrs[1]) }

// setClasses looks the classes of the placeholders up.
func (r *reach) setClasses() {
	for family, list := range r.placeholders.addrs {
		for _, a := range list {
			class, _ := r.classAt(a)
			r.placeholders.ranges[family] = append(r.placeholders.ranges[family], addrRange{a, a, class})
		}
	}
}

// notes says which domains cannot be told of.
func (s *placeholders) notes() []Note {
	var notes []Note
	for family, list := range s.addrs {
		if len(s.domains) > 0 && list == nil {
			notes = append(notes, DomainsNotListedNote{policy.Families[family]})
		}
	}
	return notes
}

// freeAddrs returns some addresses that no net and no endpoint of a model has, but for
// nets that hold a whole family; nil if there are not as many in one place.
func freeAddrs(m *policy.Model, family, n int) []netip.Addr {
	var taken []classNet // of no class
	add := func(nets ...netip.Prefix) {
		for _, p := range nets {
			if p = p.Masked(); p.Bits() > 0 && policy.FamilyOf(p.Addr()).Index() == family {
				taken = append(taken, classNet{prefix: p, class: 1})
			}
		}
	}
	addrs := func(list []netip.Addr) {
		for _, a := range list {
			if a = a.Unmap(); a.IsValid() {
				add(netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	for _, p := range m.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				for _, side := range [2]*policy.Peer{&rules[i].Source, &rules[i].Destination} {
					add(side.Nets...)
					add(side.NotNets...)
				}
			}
		}
	}
	for _, s := range m.Sets {
		add(s.Nets...)
	}
	for _, ep := range m.Endpoints {
		addrs(ep.Addrs)
	}
	for _, node := range m.Nodes {
		addrs(node.Addrs)
	}
	whole := netip.PrefixFrom([2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[family], 0)
	ranges := flatten(append(taken, classNet{prefix: whole}))
	for _, free := range slices.Backward(ranges) { // from the end, where no one has addresses
		if free.class != 0 || !holdsMany(free, n) {
			continue
		}
		out := make([]netip.Addr, n)
		for i, a := 0, free.first; i < n; i, a = i+1, a.Next() {
			out[i] = a
		}
		return out
	}
	return nil
}

// holdsMany reports whether a range has n addresses.
func holdsMany(x classRange, n int) bool {
	a := x.first
	for range n - 1 {
		if a == x.last {
			return false
		}
		a = a.Next()
	}
	return true
}

// toDomains lists the domains to which a group, the source of the views, may send
// something else than to addresses that nobody names. Those to which it is the same
// are one end.
func (l *lister) toDomains(i int) {
	src, s := &l.groups[i], &l.placeholders
	if len(s.domains) == 0 {
		return
	}
	at := func(d int) families {
		f := families{none, none}
		for family, has := range src.enforced.has {
			if has && s.addrs[family] != nil {
				f[family] = l.outside(family, src, s.ranges[family][d].class)
			}
		}
		return f
	}
	world := at(len(s.domains))
	var order []families
	groups := map[families][]string{}
	for d := range s.domains {
		f := at(d)
		if f == world && !l.allDomains {
			continue
		}
		if groups[f] == nil {
			order = append(order, f)
		}
		groups[f] = append(groups[f], s.texts[d])
	}
	for _, f := range order {
		n := len(l.found)
		end := &End{Kind: DomainsEnd, Domains: NewDomainNames(groups[f]...)}
		if l.add(l.ends[i], end, f); len(l.found) > n && f == world {
			l.likeAnyAddress[end] = true
		}
	}
}
