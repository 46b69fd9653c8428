package budget

import (
	"cmp"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// boxKey is what a rule demands of layer 4. Rules of the model that come from one rule of the source
// and demand the same count once: they decide alike. A Kubernetes rule with many peers has
// one list of ports, to which all its rules of the model lead.
type boxKey struct {
	index                    int
	action                   policy.Action
	protocol, notProtocol    int16 // -1: none
	icmp, notICMP            icmpKey
	src, notSrc, dst, notDst *policy.Ports
}

type icmpKey struct {
	set        bool
	kind, code int16 // -1: any
}

// box is a boxKey within a sweep.
type box struct {
	boxKey
	number int   // in the sweep
	seen   int64 // how many profiles there were when it became active
}

func keyOf(r *policy.Rule) boxKey {
	return boxKey{
		index: r.Index, action: r.Action, protocol: number(r.Protocol), notProtocol: number(r.NotProtocol),
		icmp: icmpKeyOf(r.ICMP), notICMP: icmpKeyOf(r.NotICMP),
		src: r.Source.Ports, notSrc: r.Source.NotPorts, dst: r.Destination.Ports, notDst: r.Destination.NotPorts,
	}
}

func number[T ~uint8](v *T) int16 {
	if v == nil {
		return -1
	}
	return int16(*v)
}

func icmpKeyOf(m *policy.ICMPMatch) icmpKey {
	if m == nil {
		return icmpKey{}
	}
	return icmpKey{true, number(m.Type), number(m.Code)}
}

// matches reports whether the box holds something of a protocol.
func (b *box) matches(p policy.Protocol) bool {
	switch {
	case b.protocol >= 0 && b.protocol != int16(p), b.notProtocol == int16(p):
		return false
	case b.icmp.set && !p.IsICMP():
		return false
	}
	return p.HasPorts() || b.src == nil && b.dst == nil
}

// regionCost is what rules make of layer 4, all together.
type regionCost struct {
	total   int64
	spans   int64 // of destination ports, of the protocol that has most
	sources int64 // spans of source ports that rules list
	by      shares
}

func (c *regionCost) amount(dir policy.Direction) Amount {
	a := c.by.amount(dir)
	a.N = c.total
	return a
}

// swept are the protocols that have a second dimension, by which rules can tell apart what they decide.
var swept = []policy.Protocol{policy.ICMP, policy.TCP, policy.UDP, policy.ICMPv6, policy.SCTP}

// regions returns what boxes make of layer 4.
func (s *side) regions(boxes []*box) regionCost {
	c := regionCost{by: shares{}}
	var named [256]bool
	for _, b := range boxes {
		for _, p := range []int16{b.protocol, b.notProtocol} {
			if p >= 0 {
				named[p] = true
			}
		}
	}
	for _, n := range named {
		if n {
			c.total++
		}
	}
	for _, p := range swept {
		s.sweep(p, boxes, &c)
	}
	for _, b := range boxes {
		c.sources += s.sources(b)
	}
	c.total++
	return c
}

// edge is where a box begins, ends (toggles) or is cut in the first dimension.
type edge struct {
	at      int
	box     *box
	toggles bool
}

// sweep adds the regions of one protocol: a span of the first dimension (destination ports, ICMP types)
// for each part in which the boxes do not change, and in each of them a profile of the second (source
// ports, ICMP codes), as long as its boxes have borders there.
func (s *side) sweep(p policy.Protocol, boxes []*box, c *regionCost) {
	axis := int64(1 << 16)
	if p.IsICMP() {
		axis = 1 << 8
	}
	var edges []edge
	var names, borders int64 // in the second dimension, of all boxes
	here := boxes[:0:0]
	for _, b := range boxes {
		if !b.matches(p) {
			continue
		}
		b.number = len(here)
		here = append(here, b)
		edges = s.appendEdges(edges, p, b)
		borders += s.borders(p, b)
		if p.HasPorts() {
			names += namesOf(b.dst) + namesOf(b.notDst)
			c.by[b.index] += 2 * (namesOf(b.dst) + namesOf(b.notDst))
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	spans, profiles := int64(1)+2*names, names*min(axis, 2*borders)
	s.work += int64(len(here) + len(edges))
	active := make([]bool, len(here))
	var seen int64   // profiles so far
	var around int64 // borders of the active boxes
	for i := 0; i < len(edges); {
		at := edges[i].at
		if at > 0 && at < int(axis) {
			spans++
		}
		for ; i < len(edges) && edges[i].at == at; i++ {
			e := &edges[i]
			if c.by[e.box.index]++; !e.toggles || borders == 0 {
				continue
			}
			n := s.borders(p, e.box)
			if active[e.box.number] = !active[e.box.number]; active[e.box.number] {
				e.box.seen = seen
				around += n
			} else {
				c.by[e.box.index] += 2 * n * (seen - e.box.seen)
				around -= n
			}
		}
		if around > 0 && at < int(axis) {
			seen++
			profiles += min(axis, 1+2*around)
		}
	}
	c.total += spans + profiles
	c.spans = max(c.spans, spans)
}

// appendEdges appends where a box begins and ends, and where it is cut.
func (s *side) appendEdges(edges []edge, p policy.Protocol, b *box) []edge {
	last := 1 << 16
	add := func(first, end int, toggles bool) {
		edges = append(edges, edge{first, b, toggles}, edge{end, b, toggles})
	}
	if p.IsICMP() {
		last = 1 << 8
		if b.icmp.set && b.icmp.kind >= 0 {
			add(int(b.icmp.kind), int(b.icmp.kind)+1, true)
		} else {
			add(0, last, true)
		}
		if b.notICMP.set && b.notICMP.kind >= 0 {
			add(int(b.notICMP.kind), int(b.notICMP.kind)+1, false)
		}
		return edges
	}
	if b.dst == nil {
		add(0, last, true)
	}
	for _, r := range s.ranges(b.dst) {
		add(int(r.First), int(r.Last)+1, true)
	}
	for _, r := range s.ranges(b.notDst) {
		add(int(r.First), int(r.Last)+1, false)
	}
	return edges
}

// borders returns how many spans of the second dimension a box lists.
func (s *side) borders(p policy.Protocol, b *box) int64 {
	if !p.IsICMP() {
		return s.sources(b)
	}
	n := int64(0)
	if b.icmp.set && b.icmp.code >= 0 {
		n++
	}
	if b.notICMP.set && b.notICMP.code >= 0 {
		n++
	}
	return n
}

// sources returns how many spans of source ports a box lists.
func (s *side) sources(b *box) int64 { return s.listed(b.src) + s.listed(b.notSrc) }

// destinations returns how many spans of destination ports, or of what else it demands, a box has: at least 1.
func (s *side) destinations(b *box) int64 {
	n := max(1, s.listed(b.dst)+s.listed(b.notDst))
	if b.protocol < 0 {
		n *= 3 // of the protocols that have ports
	}
	return n
}

func (s *side) listed(l *policy.Ports) int64 { return int64(len(s.ranges(l))) + namesOf(l) }

func namesOf(l *policy.Ports) int64 {
	if l == nil {
		return 0
	}
	return int64(len(l.Names))
}

// ranges returns the ports of a list as ranges that are sorted and apart.
func (s *side) ranges(l *policy.Ports) []policy.PortRange {
	if l == nil {
		return nil
	}
	if out, known := s.lists[l]; known {
		return out
	}
	sorted := slices.SortedFunc(slices.Values(l.Ranges), func(a, b policy.PortRange) int { return cmp.Compare(a.First, b.First) })
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	s.lists[l] = out
	return out
}
