package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// endFilter says which ends of pairs a user wants to see.
type endFilter struct {
	all     bool
	ends    map[analyze.End]bool // endpoints and their workloads
	net     netip.Prefix         // ranges that meet it; invalid: none
	domains map[string]bool      // of those that policies refer to
}

// newEndFilter reads --from or --to of reach; "" is everything.
func newEndFilter(r ends.Resolver, text string) (endFilter, error) {
	m := r.Model
	f := endFilter{all: text == "", ends: map[analyze.End]bool{}}
	if f.all {
		return f, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		f.net = netip.PrefixFrom(addr, addr.BitLen())
		node := ""
		for _, n := range m.Nodes {
			if slices.Contains(n.Addrs, addr) {
				node = n.Name
			}
		}
		for _, ep := range m.Endpoints {
			if slices.Contains(ep.Addrs, addr) || ep.Host != nil && node != "" && ep.Node == node {
				f.add(ep, addr)
			}
		}
		return f, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		f.net = p.Masked()
		return f, nil
	}
	if err := ends.AddressMistake(text); err != nil {
		return f, err
	}
	if name, is := strings.CutPrefix(text, "host/"); is && strings.Count(text, "/") == 1 {
		e, err := r.Host(name)
		if err != nil {
			return f, err
		}
		f.add(e.Endpoint, e.Addrs...)
		return f, nil
	}
	if found, err := f.takeDomain(r, text); found || err != nil {
		return f, err
	}
	namespace, kind, name, err := splitEnd(m, text)
	if err != nil {
		return f, err
	}
	matches := func(k policy.Key) bool {
		return k.Namespace == namespace && (name == "" || k.Name == name) && (kind == "" || k.Kind == kind)
	}
	for _, ep := range m.Endpoints {
		if matches(ep.Key) || ep.Owner != (policy.Key{}) && matches(ep.Owner) {
			f.add(ep, ep.Addrs...)
		}
	}
	if len(f.ends) > 0 {
		return f, nil
	}
	inNamespace := func(u translate.Unmanaged) bool { return u.Key.Namespace == namespace }
	if name == "" && slices.ContainsFunc(r.Unmanaged, inNamespace) {
		return f, fmt.Errorf("policy has no say on any pod or workload in namespace %s: they use their node's network or have ended", namespace)
	}
	if name == "" {
		return f, fmt.Errorf("no pod or workload is in namespace %s%s", namespace,
			ends.FirstHint(suggest.Several(namespace, input.Namespaces(m)), ends.OfferFew(ends.NamesOf(m, namespace))))
	}
	return f, r.NotFoundError(namespace, kind, name)
}

// namespaceFilter wants what is in a namespace, if that is anything.
func namespaceFilter(m *policy.Model, namespace string) endFilter {
	f := endFilter{ends: map[analyze.End]bool{}}
	for _, ep := range m.Endpoints {
		if ep.Key.Namespace == namespace {
			f.add(ep, ep.Addrs...)
		}
	}
	return f
}

// splitEnd takes NAMESPACE, NAMESPACE/NAME or NAMESPACE/KIND/NAME apart.
func splitEnd(m *policy.Model, text string) (namespace, kind, name string, err error) {
	parts := strings.Split(text, "/")
	switch len(parts) {
	case 1:
		return parts[0], "", "", nil
	case 2:
		return parts[0], "", parts[1], nil
	case 3:
		kind, ok := ends.KindOf(m, parts[1])
		if !ok {
			return "", "", "", ends.UnknownKindError(parts[1])
		}
		return parts[0], kind, parts[2], nil
	}
	return "", "", "", fmt.Errorf("too many slashes: expected NAMESPACE, NAMESPACE/NAME, NAMESPACE/KIND/NAME, an address or a CIDR")
}

// add takes in all ends that an endpoint may be listed as, with some of its addresses
// where those differ.
func (f *endFilter) add(ep *policy.Endpoint, addrs ...netip.Addr) {
	end := analyze.EndOf(ep.Key)
	f.ends[end] = true
	if ep.Owner != (policy.Key{}) {
		f.ends[analyze.EndOf(ep.Owner)] = true
	}
	for _, a := range addrs {
		f.ends[end.At(a)] = true
	}
}

// takeDomain has a domain wanted, if that is what the text is: one of DNS that no
// namespace is called like. Of a name that --resolve knows the addresses are wanted.
func (f *endFilter) takeDomain(r ends.Resolver, text string) (bool, error) {
	d, err := dns.ParseDomain(text)
	if err != nil || !strings.Contains(text, ".") || slices.Contains(input.Namespaces(r.Model), text) {
		return false, nil
	}
	if addrs := r.Names.Addresses(text); len(addrs) > 0 {
		if len(addrs) > 1 {
			return true, fmt.Errorf("it has %d addresses: name one of them", len(addrs))
		}
		f.net = netip.PrefixFrom(addrs[0], addrs[0].BitLen())
		return true, nil
	}
	f.domains = map[string]bool{}
	narrowest := "" // of those that hold it
	for _, s := range r.Model.Sets {
		for _, of := range s.Domains {
			other, err := dns.ParseDomain(of)
			if err != nil {
				continue // translate has checked it
			}
			switch of = other.String(); {
			case other == d || d.Below && d.Holds(of):
				f.domains[of] = true
			case other.Holds(d.String()) && len(of) > len(narrowest):
				narrowest = of
			}
		}
	}
	if !f.domains[d.String()] && narrowest != "" {
		f.domains[narrowest] = true
	}
	if len(f.domains) == 0 {
		return true, fmt.Errorf("no policy and no set has this domain, nor one that it is below")
	}
	return true, nil
}

// matches reports whether an end of a pair is wanted.
func (f *endFilter) matches(end *analyze.End) bool {
	switch {
	case f.all:
		return true
	case end.Kind == analyze.RangeEnd:
		return f.net.IsValid() && meets(f.net, end.First, end.Last)
	case end.Kind == analyze.DomainsEnd:
		return slices.ContainsFunc(end.Domains.List(), func(d string) bool { return f.domains[d] })
	}
	everywhere := *end
	everywhere.Node = ""
	return f.ends[everywhere]
}

// meets reports whether a net holds an address of a range: the range holds the
// net's first address, or the net the range's.
func meets(n netip.Prefix, first, last netip.Addr) bool {
	a := n.Addr()
	return n.Contains(first) || a.Is4() == first.Is4() && first.Compare(a) <= 0 && a.Compare(last) <= 0
}
