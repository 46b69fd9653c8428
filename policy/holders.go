package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/selector"
)

// CompareHolders orders endpoints that hold one address at once: the first has
// it, and to the others it counts as none of theirs. It is the one of the
// highest precedence; of equal ones always the same one, by what policy can tell
// them apart by, and then by key.
func CompareHolders(a, b *Endpoint) int {
	return cmp.Or(
		cmp.Compare(b.Precedence, a.Precedence),
		CompareIdentities(a.Labels, a.Ports, b.Labels, b.Ports),
		a.Key.Compare(b.Key),
	)
}

// CompareIdentities orders what policy can tell endpoints apart by: labels, then
// named ports.
func CompareIdentities(aLabels selector.Labels, aPorts []NamedPort, bLabels selector.Labels, bPorts []NamedPort) int {
	return cmp.Or(
		slices.CompareFunc(aLabels, bLabels, func(a, b selector.Label) int {
			return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
		}),
		slices.CompareFunc(aPorts, bPorts, func(a, b NamedPort) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
		}),
	)
}

// At returns the model as it is on a node with those local endpoints: an address
// that one of them holds is theirs, whatever the precedence of an endpoint
// elsewhere that claims it as well. Otherwise a node could switch off policy on
// another one. The model itself stays as it is.
func (m *Model) At(local func(*Endpoint) bool) *Model {
	here := map[netip.Addr]bool{}
	for _, ep := range m.Endpoints {
		if local(ep) {
			for _, a := range ep.Addrs {
				here[a] = true
			}
		}
	}
	out := *m
	out.Endpoints = slices.Clone(m.Endpoints)
	for i, ep := range out.Endpoints {
		claims := func(a netip.Addr) bool { return here[a] }
		if local(ep) || !slices.ContainsFunc(ep.Addrs, claims) {
			continue
		}
		v := *ep
		v.Addrs = slices.DeleteFunc(slices.Clone(ep.Addrs), claims)
		out.Endpoints[i] = &v
	}
	return &out
}
