package analyze

import (
	"net/netip"
	"slices"
)

// part is a range in which two lists of ranges say one thing each.
type part struct {
	first, last netip.Addr
	sides       [2]Allowed
}

// overlay cuts the addresses wherever either list does, and gives the parts that
// differ, neighbours that differ alike as one.
func overlay(a, b []rangeGrant) (out []part) {
	var cuts []netip.Addr // where a part begins
	for _, s := range append(slices.Clone(a), b...) {
		cuts = append(cuts, s.first)
		if next := s.last.Next(); next.IsValid() {
			cuts = append(cuts, next)
		}
	}
	slices.SortFunc(cuts, netip.Addr.Compare)
	cuts = slices.Compact(cuts)
	for i, first := range cuts {
		p := part{first: first, sides: [2]Allowed{allowedAt(a, first), allowedAt(b, first)}}
		if p.sides[0].Equal(p.sides[1]) {
			continue
		}
		// A range ends where the next part begins, or at the end of the family.
		if p.last = lastOf(first); i+1 < len(cuts) && cuts[i+1].BitLen() == first.BitLen() {
			p.last = cuts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].last.Next() == first &&
			out[n-1].sides[0].Equal(p.sides[0]) && out[n-1].sides[1].Equal(p.sides[1]) {
			out[n-1].last = p.last
			continue
		}
		out = append(out, p)
	}
	return out
}

func allowedAt(ranges []rangeGrant, a netip.Addr) Allowed {
	for _, s := range ranges {
		if s.first.BitLen() == a.BitLen() && s.first.Compare(a) <= 0 && a.Compare(s.last) <= 0 {
			return s.allowed
		}
	}
	return nil
}

// lastOf returns the last address of a family.
func lastOf(a netip.Addr) netip.Addr { return lastAddr(netip.PrefixFrom(a, 0)) }
