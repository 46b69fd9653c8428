package analyze

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Difference is a pair of ends of which another is allowed after a change.
type Difference struct {
	Src     string    `json:"src"`
	Dst     string    `json:"dst"`
	Domains []string  `json:"domains,omitempty"` // of Dst, if it is domains
	Before  []Allowed `json:"before"`            // empty: nothing
	After   []Allowed `json:"after"`
}

// Diff says what changes between two models of the same endpoints: all pairs of
// ends of which not the same is allowed. Ends are named as by Reach; ranges of the
// outside world are those whose addresses both models treat alike. Notes are those
// of Reach. opts are as for Reach.
func Diff(before, after *policy.Model, opts ReachOptions) ([]Difference, []string, error) {
	// Which endpoints of a workload are alike may be another question before and
	// after: so all are looked at singly, and put together in the end.
	if before == nil || after == nil {
		return nil, nil, errors.New("diff: there is no model")
	}
	// A domain that only one of them refers to is to the other one an address like any.
	domains := slices.Concat(domainsOf(before, opts.Known), domainsOf(after, opts.Known))
	slices.Sort(domains)
	domains = slices.Compact(domains)
	all := ReachOptions{Pods: true, Known: opts.Known}
	a, err := reachOf(before, all, domains)
	if err != nil {
		return nil, nil, err
	}
	b, err := reachOf(after, all, domains)
	if err != nil {
		return nil, nil, err
	}
	d := &differ{
		known: map[[2]string]*[2][]Allowed{}, single: singles(before, a.Pairs, b.Pairs),
		domains: map[[2]string]*domainSides{},
	}
	d.ranges[0], d.ranges[1] = map[[2]string][]rangeSpan{}, map[[2]string][]rangeSpan{}
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
		out = collapseEnds(out, before.Endpoints, func(p *Difference) (end, other *string) { return &p.Src, &p.Dst })
		out = collapseEnds(out, before.Endpoints, func(p *Difference) (end, other *string) { return &p.Dst, &p.Src })
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
	single  map[string][]string          // endpoints that either lists by their addresses: the names
	known   map[[2]string]*[2][]Allowed  // of endpoints
	domains map[[2]string]*domainSides   // of an endpoint and a domain
	ranges  [2]map[[2]string][]rangeSpan // of an endpoint, as the source or as the destination; the other is ""
}

// rangeSpan is what is allowed between an endpoint and a range.
type rangeSpan struct {
	first, last netip.Addr
	allowed     []Allowed
}

// singles finds the endpoints whose addresses are listed singly, as "key (address)".
func singles(m *policy.Model, lists ...[]Pair) map[string][]string {
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
	hosts := newHosts(m, nil)
	for _, ep := range m.Endpoints {
		if key := endName(ep.Key); single[key] {
			addrs := ep.Addrs
			if ep.Host != nil {
				addrs = hosts.addrsOf(ep)
			}
			for _, a := range addrs {
				out[key] = append(out[key], key+" ("+a.String()+")")
			}
		}
	}
	return out
}

func (d *differ) take(side int, r *Reachability) {
	for i := range r.Pairs {
		p := &r.Pairs[i]
		for _, src := range d.names(p.Src) {
			if p.Domains != nil {
				d.takeDomains(side, src, p, r.asWorld[[2]string{p.Src, p.Dst}])
				continue
			}
			for _, dst := range d.names(p.Dst) {
				d.add(side, src, dst, ofFamily(ofFamily(p.Allowed, src), dst))
			}
		}
	}
}

// names returns the names under which an end is compared.
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

// differences returns what is not the same; held are the addresses of endpoints, sorted.
func (d *differ) differences(held []netip.Addr) (out []Difference) {
	for key, sides := range d.known {
		if !sameAllowed(sides[0], sides[1]) {
			out = append(out, Difference{Src: key[0], Dst: key[1], Before: sides[0], After: sides[1]})
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
			row := Difference{Src: key[0], Dst: key[1], Before: p.sides[0], After: p.sides[1]}
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
		if sameAllowed(p.sides[0], p.sides[1]) {
			continue
		}
		// A span ends where the next part begins, or at the end of the family.
		if p.last = lastOf(first); i+1 < len(cuts) && cuts[i+1].BitLen() == first.BitLen() {
			p.last = cuts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].last.Next() == first &&
			sameAllowed(out[n-1].sides[0], p.sides[0]) && sameAllowed(out[n-1].sides[1], p.sides[1]) {
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

// lastOf returns the last address of a family.
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
