package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// endFilter says which ends of pairs a user wants to see.
type endFilter struct {
	all   bool
	names map[string]bool // of endpoints and their workloads
	net   netip.Prefix    // ranges that meet it; invalid: none
}

// newEndFilter reads --from or --to of reach; "" is everything.
func newEndFilter(r resolver, text string) (endFilter, error) {
	m := r.model
	f := endFilter{all: text == "", names: map[string]bool{}}
	if f.all {
		return f, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		f.net = netip.PrefixFrom(addr, addr.BitLen())
		for _, ep := range m.Endpoints {
			if slices.Contains(ep.Addrs, addr) {
				f.add(ep, addr)
			}
		}
		return f, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		f.net = p.Masked()
		return f, nil
	}
	if err := almostAddress(text); err != nil {
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
	if len(f.names) > 0 {
		return f, nil
	}
	inNamespace := func(u translate.Ungoverned) bool { return u.Key.Namespace == namespace }
	if name == "" && slices.ContainsFunc(r.ungoverned, inNamespace) {
		return f, fmt.Errorf("policy has no say on any pod or workload in namespace %s: they use their node's network or have ended", namespace)
	}
	if name == "" {
		return f, fmt.Errorf("no pod or workload is in namespace %s%s", namespace,
			firstHint(suggest.Several(namespace, namespaces(m)), atMost(namesEndingIn(m, namespace))))
	}
	return f, r.noSuchEndpoint(namespace, kind, name)
}

// namespaceFilter wants what is in a namespace, if that is anything.
func namespaceFilter(m *policy.Model, namespace string) endFilter {
	f := endFilter{names: map[string]bool{}}
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
		kind, ok := kindOf(m, parts[1])
		if !ok {
			return "", "", "", unknownKind(parts[1])
		}
		return parts[0], kind, parts[2], nil
	}
	return "", "", "", fmt.Errorf("too many slashes: expected NAMESPACE, NAMESPACE/NAME, NAMESPACE/KIND/NAME, an address or a CIDR")
}

// add takes in all names that an endpoint may be listed under, with some of its
// addresses where those differ.
func (f *endFilter) add(ep *policy.Endpoint, addrs ...netip.Addr) {
	f.names[ep.Key.String()] = true
	if ep.Owner != (policy.Key{}) {
		f.names[ep.Owner.String()] = true
	}
	for _, a := range addrs {
		f.names[ep.Key.String()+" ("+a.String()+")"] = true
	}
}

// matches reports whether an end of a pair is wanted.
func (f *endFilter) matches(end string) bool {
	if f.all || f.names[end] {
		return true
	}
	first, last, ok := strings.Cut(end, "-")
	if !ok || !f.net.IsValid() {
		return false
	}
	lo, err1 := netip.ParseAddr(first)
	hi, err2 := netip.ParseAddr(last)
	return err1 == nil && err2 == nil && meets(f.net, lo, hi)
}

// meets reports whether a net holds an address of a range: the range holds the
// net's first address, or the net the range's.
func meets(n netip.Prefix, first, last netip.Addr) bool {
	a := n.Addr()
	return n.Contains(first) || a.Is4() == first.Is4() && first.Compare(a) <= 0 && a.Compare(last) <= 0
}
