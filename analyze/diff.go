package analyze

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Difference is a pair of ends of which another is allowed after a change.
type Difference struct {
	Src    string    `json:"src"`
	Dst    string    `json:"dst"`
	Before []Allowed `json:"before"` // empty: nothing
	After  []Allowed `json:"after"`
}

// Diff says what changes between two models of the same endpoints: all pairs of
// ends of which not the same is allowed. Ends are named as by Reach; ranges of the
// outside world are those whose addresses both models treat alike. Notes are those
// of Reach. opts are as for Reach.
func Diff(before, after *policy.Model, opts ReachOptions) ([]Difference, []string, error) {
	// Which endpoints of a workload are alike may be another question before and
	// after: so all are looked at singly, and put together in the end.
	a, err := Reach(before, ReachOptions{Pods: true})
	if err != nil {
		return nil, nil, err
	}
	b, err := Reach(after, ReachOptions{Pods: true})
	if err != nil {
		return nil, nil, err
	}
	d := &differ{known: map[[2]string]*[2][]Allowed{}, single: singles(before.Endpoints, a.Pairs, b.Pairs)}
	d.ranges[0], d.ranges[1] = map[[2]string][]rangeSpan{}, map[[2]string][]rangeSpan{}
	d.take(0, a.Pairs)
	d.take(1, b.Pairs)
	var held []netip.Addr
	for _, ep := range before.Endpoints {
		for _, addr := range ep.Addrs {
			held = append(held, addr.Unmap())
		}
	}
	slices.SortFunc(held, netip.Addr.Compare)
	out := d.differences(slices.Compact(held))
	if !opts.Pods {
		out = collapseEnds(out, before.Endpoints, func(p *Difference) *string { return &p.Src })
		out = collapseEnds(out, before.Endpoints, func(p *Difference) *string { return &p.Dst })
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Or(compareEnds(x.Src, y.Src), compareEnds(x.Dst, y.Dst)) })
	notes := a.Notes
	for _, n := range b.Notes {
		if !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	}
	return out, notes, nil
}

// differ lays two lists of pairs side by side: 0 is before, 1 after.
type differ struct {
	single map[string][]string          // endpoints that either lists by their addresses: the names
	known  map[[2]string]*[2][]Allowed  // of endpoints
	ranges [2]map[[2]string][]rangeSpan // of an endpoint, as the source or as the destination; the other is ""
}

// rangeSpan is what is allowed between an endpoint and a range.
type rangeSpan struct {
	first, last netip.Addr
	allowed     []Allowed
}

// singles finds the endpoints whose addresses are listed singly, as "key (address)".
func singles(endpoints []*policy.Endpoint, lists ...[]Pair) map[string][]string {
	single := map[string]bool{}
	for _, pairs := range lists {
		for i := range pairs {
			for _, end := range []string{pairs[i].Src, pairs[i].Dst} {
				if key, _, found := strings.Cut(end, " ("); found {
					single[key] = true
				}
			}
		}
	}
	out := map[string][]string{} // of all addresses: one that reaches nothing is in no list
	for _, ep := range endpoints {
		if key := ep.Key.String(); single[key] {
			for _, a := range ep.Addrs {
				out[key] = append(out[key], key+" ("+a.String()+")")
			}
		}
	}
	return out
}

func (d *differ) take(side int, pairs []Pair) {
	for i := range pairs {
		p := &pairs[i]
		for _, src := range d.names(p.Src) {
			for _, dst := range d.names(p.Dst) {
				d.add(side, src, dst, ofFamily(ofFamily(p.Allowed, src), dst))
			}
		}
	}
}

// names gives the names under which an end is compared.
func (d *differ) names(end string) []string {
	if several := d.single[end]; several != nil {
		return several
	}
	return []string{end}
}

// ofFamily leaves what is allowed in the family of a single address.
func ofFamily(list []Allowed, end string) []Allowed {
	_, text, found := strings.Cut(end, " (")
	addr, err := netip.ParseAddr(strings.TrimSuffix(text, ")"))
	if !found || err != nil {
		return list
	}
	family := "IPv6"
	if addr.Is4() {
		family = "IPv4"
	}
	var out []Allowed
	for _, a := range list {
		if a.Family == "" || a.Family == family {
			a.Family = ""
			out = append(out, a)
		}
	}
	return out
}

func (d *differ) add(side int, src, dst string, allowed []Allowed) {
	if len(allowed) == 0 {
		return
	}
	for _, end := range []struct {
		text string
		key  [2]string
	}{{src, [2]string{"", dst}}, {dst, [2]string{src, ""}}} {
		if first, last, is := rangeOf(end.text); is {
			d.ranges[side][end.key] = append(d.ranges[side][end.key], rangeSpan{first, last, allowed})
			return
		}
	}
	key := [2]string{src, dst}
	if d.known[key] == nil {
		d.known[key] = &[2][]Allowed{}
	}
	d.known[key][side] = allowed
}

// rangeOf takes "first-last" apart; names of endpoints have slashes.
func rangeOf(end string) (first, last netip.Addr, is bool) {
	a, b, found := strings.Cut(end, "-")
	if !found || strings.Contains(end, "/") {
		return first, last, false
	}
	first, err1 := netip.ParseAddr(a)
	last, err2 := netip.ParseAddr(b)
	return first, last, err1 == nil && err2 == nil
}

// differences gives what is not the same; held are the addresses of endpoints, sorted.
func (d *differ) differences(held []netip.Addr) (out []Difference) {
	for key, sides := range d.known {
		if !slices.Equal(sides[0], sides[1]) {
			out = append(out, Difference{key[0], key[1], sides[0], sides[1]})
		}
	}
	ends := map[[2]string]bool{}
	for _, side := range d.ranges {
		for key := range side {
			ends[key] = true
		}
	}
	for key := range ends {
		for _, p := range laySpans(d.ranges[0][key], d.ranges[1][key]) {
			if onlyHeld(classRange{first: p.first, last: p.last}, held) {
				continue // Reach lists a range with what lies between its parts
			}
			text := addrRange{first: p.first, last: p.last}.String()
			row := Difference{key[0], key[1], p.sides[0], p.sides[1]}
			if key[0] == "" {
				row.Src = text
			} else {
				row.Dst = text
			}
			out = append(out, row)
		}
	}
	return out
}

// part is a range in which two lists of spans say one thing each.
type part struct {
	first, last netip.Addr
	sides       [2][]Allowed
}

// laySpans cuts the addresses wherever either list does, and gives the parts that
// differ, neighbours that differ alike as one.
func laySpans(a, b []rangeSpan) (out []part) {
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
		p := part{first: first, sides: [2][]Allowed{allowedAt(a, first), allowedAt(b, first)}}
		if slices.Equal(p.sides[0], p.sides[1]) {
			continue
		}
		// A span ends where the next part begins, or at the end of the family.
		if p.last = lastOf(first); i+1 < len(cuts) && cuts[i+1].BitLen() == first.BitLen() {
			p.last = cuts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].last.Next() == first &&
			slices.Equal(out[n-1].sides[0], p.sides[0]) && slices.Equal(out[n-1].sides[1], p.sides[1]) {
			out[n-1].last = p.last
			continue
		}
		out = append(out, p)
	}
	return out
}

func allowedAt(spans []rangeSpan, a netip.Addr) []Allowed {
	for _, s := range spans {
		if s.first.BitLen() == a.BitLen() && s.first.Compare(a) <= 0 && a.Compare(s.last) <= 0 {
			return s.allowed
		}
	}
	return nil
}

// lastOf gives the last address of a family.
func lastOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	var all [16]byte
	for i := range all {
		all[i] = 255
	}
	return netip.AddrFrom16(all)
}

// collapseEnds puts the endpoints of a workload together where all of them differ alike.
func collapseEnds(list []Difference, endpoints []*policy.Endpoint, end func(*Difference) *string) []Difference {
	workloads, members := map[string]string{}, map[string]int{}
	for _, ep := range endpoints {
		if ep.Owner != (policy.Key{}) {
			workloads[ep.Key.String()] = ep.Owner.String()
			members[ep.Owner.String()]++
		}
	}
	groups := map[string][]int{} // rows that differ only in which endpoint of a workload it is
	keyOf := func(d *Difference) (string, bool) {
		row := *d
		workload, found := workloads[*end(&row)]
		*end(&row) = workload
		return row.Src + "\x00" + row.Dst + "\x00" + textOf(row.Before) + "\x00" + textOf(row.After), found
	}
	for i := range list {
		if k, found := keyOf(&list[i]); found {
			groups[k] = append(groups[k], i)
		}
	}
	var out []Difference
	for i := range list {
		k, found := keyOf(&list[i])
		workload := workloads[*end(&list[i])]
		if !found || len(groups[k]) != members[workload] {
			out = append(out, list[i])
			continue
		}
		if groups[k][0] == i {
			row := list[i]
			*end(&row) = workload
			if row.Src != row.Dst {
				out = append(out, row)
			}
		}
	}
	return out
}

func textOf(list []Allowed) string {
	var b strings.Builder
	for _, a := range list {
		b.WriteString(a.Family + " " + a.Protocol + " " + a.Ports + " " + a.Types + ";")
	}
	return b.String()
}

// compareEnds orders endpoints by name, and ranges after them, ascending.
func compareEnds(a, b string) int {
	x, _, isX := rangeOf(a)
	y, _, isY := rangeOf(b)
	switch {
	case isX && isY:
		return x.Compare(y)
	case isX:
		return 1
	case isY:
		return -1
	}
	return strings.Compare(a, b)
}
