package l4

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// sweep goes through the first dimension and visits each part in which the
// boxes do not change, with those of the boxes that can matter there, in order.
func (m *maker) sweep(boxes []box, last uint16, visit func(dst dataplane.Range, boxes []box)) {
	type edge struct {
		at, box int
		begins  bool
	}
	var edges []edge
	for i := range boxes {
		for _, r := range boxes[i].dst {
			if r.First <= last {
				edges = append(edges, edge{int(r.First), i, true}, edge{min(int(r.Last), int(last)) + 1, i, false})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at - b.at })
	var active []int // sorted
	var here []box
	for first := 0; first <= int(last); {
		for len(edges) > 0 && edges[0].at == first {
			i, found := slices.BinarySearch(active, edges[0].box)
			switch {
			case edges[0].begins && !found:
				active = slices.Insert(active, i, edges[0].box)
			case !edges[0].begins && found:
				active = slices.Delete(active, i, i+1)
			}
			edges = edges[1:]
		}
		next := int(last) + 1
		if len(edges) > 0 {
			next = min(next, edges[0].at)
		}
		here = m.mattering(boxes, active, here[:0])
		visit(dataplane.Range{First: uint16(first), Last: uint16(next - 1)}, here)
		first = next
	}
}

// mattering collects the active boxes up to the first that decides for all of
// the second dimension; what a Pass for all of it skips is left out.
func (m *maker) mattering(boxes []box, active []int, here []box) []box {
	next := 0 // the first rule that can still be reached
	leap := 0 // where some of the second dimension goes on by a Pass
	for _, i := range active {
		b := boxes[i]
		if b.rule < next {
			continue
		}
		here = append(here, b)
		s := &m.rules[b.rule]
		switch s.Rule.Action {
		case policy.Log:
			continue // all goes on
		case policy.Pass:
			leap = m.skips[b.rule]
		}
		if len(b.src) != 1 || b.src[0] != dataplane.FullRange {
			continue
		}
		if leap <= b.rule {
			break
		}
		next = leap
	}
	return here
}

// spans divides the second dimension, from 0 to last, where a range of one of the
// boxes begins or ends: within a part, the boxes do not change. A space that is not
// divided is the full range, whatever its last.
func spans(boxes []box, last uint16) []dataplane.Range {
	starts := []int{0}
	for i := range boxes {
		for _, r := range boxes[i].src {
			if r.First > last {
				continue
			}
			starts = append(starts, int(r.First))
			if r.Last < last {
				starts = append(starts, int(r.Last)+1)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) == 1 {
		return []dataplane.Range{dataplane.FullRange}
	}
	parts := make([]dataplane.Range, len(starts))
	for i, s := range starts {
		end := int(last)
		if i+1 < len(starts) {
			end = starts[i+1] - 1
		}
		parts[i] = dataplane.Range{First: uint16(s), Last: uint16(end)}
	}
	return parts
}
