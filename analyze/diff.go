package analyze

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Difference is a pair of ends of which another is allowed after a change.
type Difference struct {
	Src, Dst      *End
	Before, After Allowed // empty: nothing
}

// MarshalJSON returns {"src", "dst", "domains", "before", "after"}, where domains
// lists those of a destination that is domains.
func (d Difference) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Src     *End     `json:"src"`
		Dst     *End     `json:"dst"`
		Domains []string `json:"domains,omitempty"`
		Before  Allowed  `json:"before"`
		After   Allowed  `json:"after"`
	}{d.Src, d.Dst, d.Dst.Domains.List(), d.Before, d.After})
}

// Diff says what changes between two models of the same endpoints: all pairs of
// ends of which not the same is allowed, in order of source and destination. Ranges of
// the outside world are those whose addresses both models treat alike. Notes are those
// of Reach. opts are as for Reach.
func Diff(before, after *policy.Model, opts ReachOptions) ([]Difference, []Note, error) {
	// Which endpoints of a workload are alike may be another question before and
	// after: so all are looked at singly, and put together in the end.
	if before == nil || after == nil {
		return nil, nil, errors.New("diff: there is no model")
	}
	// A domain that only one of them refers to is to the other one an address like any.
	domains := slices.Concat(domainsOf(before, opts.Known), domainsOf(after, opts.Known))
	slices.Sort(domains)
	domains = slices.Compact(domains)
	all := ReachOptions{Pods: true, Known: opts.Known, toOwnNode: true}
	a, err := reachOf(before, all, domains)
	if err != nil {
		return nil, nil, err
	}
	b, err := reachOf(after, all, domains)
	if err != nil {
		return nil, nil, err
	}
	d := newDiffer(singles(before, a.Pairs, b.Pairs))
	d.take(0, a)
	d.take(1, b)
	var held []netip.Addr
	for _, ep := range before.Endpoints {
		for _, addr := range ep.Addrs {
			held = append(held, addr.Unmap())
		}
	}
	held = append(held, newHosts(before, nil).heldAddrs()...)
	slices.SortFunc(held, netip.Addr.Compare)
	out := append(d.differences(slices.Compact(held)), d.ofDomains()...)
	if !opts.Pods {
		out = d.collapseEnds(out, before.Endpoints, func(p *Difference) (end, other **End) { return &p.Src, &p.Dst })
		out = d.collapseEnds(out, before.Endpoints, func(p *Difference) (end, other **End) { return &p.Dst, &p.Src })
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Or(x.Src.Compare(y.Src), x.Dst.Compare(y.Dst)) })
	return out, mergeNotes(a.Notes, b.Notes), nil
}

// differ lays two lists of pairs side by side: 0 is before, 1 after. Ends have
// numbers; anyRange stands for whichever range of the outside world.
type differ struct {
	numbers map[End]int32
	ends    []*End                       // by number
	single  map[End][]int32              // endpoints that either lists by their addresses: these
	known   map[[2]int32]*[2]Allowed     // between ends that both have
	domains map[domainPair]*domainSides  // from an end to a domain
	ranges  [2]map[[2]int32][]rangeGrant // between an end and ranges
	allowed interner[Allowed]
}

const anyRange = -1

// rangeGrant is what is allowed between an endpoint and a range.
type rangeGrant struct {
	first, last netip.Addr
	allowed     Allowed
}

func newDiffer(single map[End][]End) *differ {
	d := &differ{
		numbers: map[End]int32{}, single: map[End][]int32{}, known: map[[2]int32]*[2]Allowed{}, domains: map[domainPair]*domainSides{},
		allowed: newInterner(func(a *Allowed) uint64 { return a.hash() }, func(a, b *Allowed) bool { return a.Equal(*b) }),
	}
	d.ranges[0], d.ranges[1] = map[[2]int32][]rangeGrant{}, map[[2]int32][]rangeGrant{}
	for end, several := range single {
		for _, one := range several {
			d.single[end] = append(d.single[end], d.number(one))
		}
	}
	return d
}

// number returns the number of an end.
func (d *differ) number(e End) int32 {
	n, known := d.numbers[e]
	if !known {
		n = int32(len(d.ends))
		d.numbers[e] = n
		d.ends = append(d.ends, &e)
	}
	return n
}

// singles finds the endpoints whose addresses are listed singly, with an end for each.
func singles(m *policy.Model, lists ...[]Pair) map[End][]End {
	single := map[End]bool{}
	for _, pairs := range lists {
		for i := range pairs {
			for _, end := range [2]*End{pairs[i].Src, pairs[i].Dst} {
				if end.Addr().IsValid() {
					single[EndOf(end.Key)] = true
				}
			}
		}
	}
	out := map[End][]End{} // of all addresses: one that reaches nothing is in no list
	hosts := newHosts(m, nil)
	for _, ep := range m.Endpoints {
		if end := EndOf(ep.Key); single[end] {
			addrs := ep.Addrs
			if ep.Host != nil {
				addrs = hosts.addrsOf(ep)
			}
			for _, a := range addrs {
				out[end] = append(out[end], end.At(a))
			}
		}
	}
	return out
}

func (d *differ) take(side int, r *Reachability) {
	numbers := map[*End][]int32{} // pairs share ends
	of := func(e *End) []int32 {
		list, known := numbers[e]
		if !known {
			if list = d.single[*e]; list == nil {
				list = []int32{d.number(*e)}
			}
			numbers[e] = list
		}
		return list
	}
	for i := range r.Pairs {
		p := &r.Pairs[i]
		for _, src := range of(p.Src) {
			if p.Dst.Kind == DomainsEnd {
				d.takeDomains(side, src, p, r.likeAnyAddress[p.Dst])
				continue
			}
			for _, dst := range of(p.Dst) {
				d.add(side, src, dst, d.ofFamily(d.ofFamily(p.Allowed, src), dst))
			}
		}
	}
}

// ofFamily leaves what is allowed in the family of an end that is a single address.
func (d *differ) ofFamily(list Allowed, end int32) Allowed {
	if addr := d.ends[end].Addr(); addr.IsValid() {
		return list.in(policy.FamilyOf(addr))
	}
	return list
}

func (d *differ) add(side int, src, dst int32, allowed Allowed) {
	if len(allowed) == 0 {
		return
	}
	inRange := func(e *End, key [2]int32) {
		d.ranges[side][key] = append(d.ranges[side][key], rangeGrant{e.First, e.Last, allowed})
	}
	switch {
	case d.ends[src].Kind == RangeEnd:
		inRange(d.ends[src], [2]int32{anyRange, dst})
		return
	case d.ends[dst].Kind == RangeEnd:
		inRange(d.ends[dst], [2]int32{src, anyRange})
		return
	}
	key := [2]int32{src, dst}
	if d.known[key] == nil {
		d.known[key] = &[2]Allowed{}
	}
	d.known[key][side] = allowed
}

// differences returns what is not the same; held are the addresses of endpoints, sorted.
func (d *differ) differences(held []netip.Addr) (out []Difference) {
	for key, sides := range d.known {
		if !sides[0].Equal(sides[1]) {
			out = append(out, Difference{Src: d.ends[key[0]], Dst: d.ends[key[1]], Before: sides[0], After: sides[1]})
		}
	}
	keys := map[[2]int32]bool{}
	for _, side := range d.ranges {
		for key := range side {
			keys[key] = true
		}
	}
	for key := range keys {
		for _, p := range overlay(d.ranges[0][key], d.ranges[1][key]) {
			if onlyHeld(classRange{first: p.first, last: p.last}, held) {
				continue // Reach lists a range with what lies between its parts
			}
			row := Difference{Before: p.sides[0], After: p.sides[1]}
			for i, end := range [2]**End{&row.Src, &row.Dst} {
				if *end = &(End{Kind: RangeEnd, First: p.first, Last: p.last}); key[i] != anyRange {
					*end = d.ends[key[i]]
				}
			}
			out = append(out, row)
		}
	}
	return out
}
