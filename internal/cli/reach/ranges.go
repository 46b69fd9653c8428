package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/analyze"
)

// rangesRow is a row of the table, of which one end may be several ranges of addresses.
type rangesRow struct {
	src, dst, allowed string
	ranges            []analyze.End // of the end that is empty
}

// rangesRows returns the rows of pairs: the ranges to which, or from which, a workload is
// allowed the same are one row.
func rangesRows(pairs []analyze.Pair) [][]string {
	type key struct {
		src, dst, allowed string
		is4               bool
	}
	var rows []*rangesRow
	byKey := map[key]*rangesRow{}
	for _, p := range pairs {
		r := &rangesRow{src: p.Src.String(), dst: dstText(p.Dst), allowed: p.Allowed.String()}
		var of *analyze.End
		switch {
		case p.Dst.Kind == analyze.RangeEnd:
			of, r.dst = p.Dst, ""
		case p.Src.Kind == analyze.RangeEnd:
			of, r.src = p.Src, ""
		default:
			rows = append(rows, r)
			continue
		}
		k := key{r.src, r.dst, r.allowed, of.First.Is4()}
		if byKey[k] == nil {
			byKey[k] = r
			rows = append(rows, r)
		}
		byKey[k].ranges = append(byKey[k].ranges, *of)
	}
	out := make([][]string, len(rows))
	for i, r := range rows {
		switch {
		case r.src == "":
			r.src = addressesText(r.ranges)
		case r.dst == "":
			r.dst = addressesText(r.ranges)
		}
		out[i] = []string{r.src, r.dst, r.allowed}
	}
	return out
}

// endText returns an end as the table has it.
func endText(e *analyze.End) string {
	if e.Kind == analyze.RangeEnd {
		return addressesText([]analyze.End{*e})
	}
	return dstText(e)
}

// maxNets keeps a column narrow.
const maxNets = 6

// addressesText returns ranges as CIDRs, or as the whole family but some, if these are fewer.
func addressesText(ranges []analyze.End) string {
	slices.SortFunc(ranges, func(a, b analyze.End) int { return a.First.Compare(b.First) })
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if ranges[0].First.Is4() {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	var in, out []netip.Prefix
	next := all.Addr() // that no range so far holds; invalid behind the last
	for i := 0; i < len(ranges); {
		first, last := ranges[i].First, ranges[i].Last
		for i++; i < len(ranges) && ranges[i].First == last.Next(); i++ {
			last = ranges[i].Last
		}
		if next.Less(first) {
			out = appendNets(out, next, first.Prev())
		}
		in = appendNets(in, first, last)
		next = last.Next()
	}
	if next.IsValid() {
		out = appendNets(out, next, lastOf(all))
	}
	if len(in) > 1 && len(out) < len(in) {
		return all.String() + " but " + netsText(out)
	}
	return netsText(in)
}

func netsText(nets []netip.Prefix) string {
	var texts []string
	for _, n := range nets {
		if len(texts) == maxNets {
			texts = append(texts, fmt.Sprintf("and %d more", len(nets)-maxNets))
			break
		}
		texts = append(texts, n.String())
	}
	return strings.Join(texts, ", ")
}

// appendNets appends the CIDRs that are a range together.
func appendNets(nets []netip.Prefix, first, last netip.Addr) []netip.Prefix {
	for {
		bits := first.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(first, bits-1)
			if wider.Masked().Addr() != first || last.Less(lastOf(wider)) {
				break
			}
			bits--
		}
		n := netip.PrefixFrom(first, bits)
		nets = append(nets, n)
		end := lastOf(n)
		if end == last {
			return nets
		}
		first = end.Next()
	}
}

// lastOf returns the last address of a net.
func lastOf(n netip.Prefix) netip.Addr {
	bytes := n.Addr().AsSlice()
	for i := n.Bits(); i < n.Addr().BitLen(); i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
