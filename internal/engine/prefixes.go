package engine

import (
	"cmp"
	"net/netip"
	"slices"
)

// prefixes is a list of nets, masked, sorted, each once.
type prefixes []netip.Prefix

func newPrefixes(nets []netip.Prefix) prefixes {
	ps := make(prefixes, 0, len(nets))
	for _, p := range nets {
		ps = append(ps, p.Masked())
	}
	slices.SortFunc(ps, comparePrefixes)
	return slices.Clip(slices.Compact(ps))
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
