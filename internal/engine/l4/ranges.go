package l4

import (
	"cmp"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// Lists of ranges are sorted and disjoint, as normalize makes them.

func normalize(rs []dataplane.Range) []dataplane.Range {
	slices.SortFunc(rs, func(a, b dataplane.Range) int { return cmp.Compare(a.First, b.First) })
	out := rs[:0]
	for _, r := range rs {
		if r.First > r.Last {
			continue
		}
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// holds reports whether one of the ranges holds the value.
func holds(rs []dataplane.Range, v uint16) bool {
	i, _ := slices.BinarySearchFunc(rs, v, func(r dataplane.Range, v uint16) int {
		if r.Last < v {
			return -1
		}
		return 1
	})
	return i < len(rs) && rs[i].First <= v
}

// complement returns all values that are not in the ranges.
func complement(rs []dataplane.Range) []dataplane.Range {
	var out []dataplane.Range
	next := 0
	for _, r := range rs {
		if next < int(r.First) {
			out = append(out, dataplane.Range{First: uint16(next), Last: r.First - 1})
		}
		next = int(r.Last) + 1
	}
	if next <= 65535 {
		out = append(out, dataplane.Range{First: uint16(next), Last: 65535})
	}
	return out
}

func intersect(a, b []dataplane.Range) []dataplane.Range {
	var out []dataplane.Range
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); first <= last {
			out = append(out, dataplane.Range{First: first, Last: last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func subtract(a, b []dataplane.Range) []dataplane.Range { return intersect(a, complement(b)) }
