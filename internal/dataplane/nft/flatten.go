package nft

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// interval is where a class begins, in address order: it lasts up to the next
// interval, or to the end of the family's space.
type interval struct {
	first netip.Addr
	class dataplane.ClassID
}

// flatten turns the prefixes inside of p, as they are in the state, into
// intervals: longest prefix first, as many as it takes and no more.
func flatten(s *dataplane.State, p netip.Prefix) []interval {
	var list []interval
	add := func(first netip.Addr, class dataplane.ClassID) {
		if n := len(list); n > 0 && list[n-1].first == first {
			list = list[:n-1] // an outer prefix that begins where this one does
		}
		if n := len(list); n > 0 && list[n-1].class == class {
			return
		}
		list = append(list, interval{first, class})
	}
	type open struct {
		last  netip.Addr
		class dataplane.ClassID
	}
	outer := []open{{last(p), s.NetClassOf(p)}}
	add(p.Addr(), outer[0].class)
	leave := func(before netip.Addr) {
		for len(outer) > 1 && (!before.IsValid() || outer[len(outer)-1].last.Less(before)) {
			end := outer[len(outer)-1].last
			outer = outer[:len(outer)-1]
			if next := end.Next(); next.IsValid() && !outer[len(outer)-1].last.Less(next) {
				add(next, outer[len(outer)-1].class)
			}
		}
	}
	for q, class := range s.NetsIn(p) {
		if q == p {
			continue
		}
		leave(q.Addr())
		add(q.Addr(), class)
		outer = append(outer, open{last(q), class})
	}
	leave(netip.Addr{})
	return list
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		if n := p.Bits() - 8*i; n < 8 {
			b[i] |= 0xff >> max(n, 0)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// splice returns how a list of intervals changes when what lies in p becomes as
// inside says: list[from:to] is replaced by with. Intervals at both borders
// change as well where they meet others of their class.
func splice(list []interval, p netip.Prefix, inside []interval) (from, to int, with []interval) {
	find := func(a netip.Addr) int {
		i, found := slices.BinarySearchFunc(list, a, func(v interval, a netip.Addr) int { return v.first.Compare(a) })
		if !found {
			i--
		}
		return i
	}
	from = find(p.Addr())
	if from >= 0 && list[from].first.Less(p.Addr()) {
		with = append(with, list[from]) // its end moves
	} else if from > 0 {
		from--
		with = append(with, list[from])
	}
	from = max(from, 0)
	to = len(list)
	tail := inside
	if next := last(p).Next(); next.IsValid() && len(list) > 0 {
		i := find(next)
		tail = append(slices.Clone(inside), interval{next, list[i].class})
		to = i + 1
	}
	for _, v := range tail {
		if n := len(with); n > 0 && with[n-1].class == v.class {
			continue
		}
		with = append(with, v)
	}
	return from, to, with
}

// span is an interval with its end.
type span struct {
	interval
	next netip.Addr // the first address behind it; invalid at the end of the space
}

// spans returns list[from:to] with their ends.
func spans(list []interval, from, to int) iter.Seq[span] {
	return func(yield func(span) bool) {
		for i := from; i < to; i++ {
			s := span{interval: list[i]}
			if i+1 < len(list) {
				s.next = list[i+1].first
			}
			if !yield(s) {
				return
			}
		}
	}
}

// manyPrefixes is how many at once make it quicker to flatten all anew.
const manyPrefixes = 64

// reflatten returns the intervals after a step that touched some prefixes, and
// the spans that are gone (-1) and new (+1) by it.
func reflatten(s *dataplane.State, old []interval, touched []netip.Prefix) ([]interval, map[span]int) {
	diff := map[span]int{}
	count := func(list []interval, from, to, n int) {
		for v := range spans(list, from, to) {
			if diff[v] += n; diff[v] == 0 {
				delete(diff, v)
			}
		}
	}
	list := slices.Clone(old)
	touched = outermost(touched)
	if len(touched) > manyPrefixes || len(old) == 0 {
		list = flatten(s, dataplane.WholeFamilies[familyOf(touched[0].Addr())])
		count(old, 0, len(old), -1)
		count(list, 0, len(list), 1)
		return list, diff
	}
	for _, p := range touched {
		from, to, with := splice(list, p, flatten(s, p))
		count(list, from, to, -1)
		list = slices.Replace(list, from, to, with...)
		count(list, from, from+len(with), 1)
	}
	return list, diff
}

// outermost returns those of the prefixes that lie in no other, sorted.
func outermost(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var list []netip.Prefix
	for _, p := range prefixes {
		if n := len(list); n > 0 && list[n-1].Overlaps(p) {
			continue // sorted: the wider one comes first
		}
		list = append(list, p)
	}
	return list
}
