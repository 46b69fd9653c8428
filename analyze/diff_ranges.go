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

// overlay divides the addresses wherever a range of either list begins or ends, and
// returns the parts that differ; neighbours that differ alike are one.
func overlay(a, b []rangeGrant) (out []part) {
	var starts []netip.Addr // where a part begins
	for _, s := range append(slices.Clone(a), b...) {
		starts = append(starts, s.first)
		if next := s.last.Next(); next.IsValid() {
			starts = append(starts, next)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	for i, first := range starts {
		p := part{first: first, sides: [2]Allowed{allowedAt(a, first), allowedAt(b, first)}}
		if p.sides[0].Equal(p.sides[1]) {
			continue
		}
		// A range ends where the next part begins, or at the end of the family.
		if p.last = lastOf(first); i+1 < len(starts) && starts[i+1].BitLen() == first.BitLen() {
			p.last = starts[i+1].Prev()
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
