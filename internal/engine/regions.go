package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// step is a rule that matches the peer, reduced to what it demands of layer 4.
type step struct {
	rule    *rule
	tier    int
	skip    int // where Pass goes on: the first step of the next tier
	decider dataplane.DeciderID
}

// outcome is what the steps say to one point of layer 4 space.
type outcome struct {
	allow   bool
	decider dataplane.DeciderID
}

// box is one step's extent in the two dimensions of one protocol: destination
// and source ports, or ICMP type and code.
type box struct {
	step     int
	dst, src []dataplane.Range // sorted, disjoint
}

// makeRow evaluates the program for a peer of which the facts are true: tiers,
// orders, Pass and default actions become disjoint regions.
func (e *Engine) makeRow(p *program, facts []uint32) dataplane.Row {
	m := rowMaker{e: e, p: p, facts: facts, steps: p.stepsFor(facts)}
	var row dataplane.Row
	special := m.specialProtocols()
	for proto := 0; proto <= 255; proto++ {
		if special[proto] {
			row = joinProtocols(row, m.regions(policy.Protocol(proto)))
			continue
		}
		first := proto
		for proto < 255 && !special[proto+1] {
			proto++
		}
		row = joinProtocols(row, dataplane.Row{m.plain(policy.Protocol(first), policy.Protocol(proto))})
	}
	return row
}

// stepsFor returns the rules that match a peer of which the facts are true, layer 4 aside.
func (p *program) stepsFor(facts []uint32) []step {
	at := slices.Clone(p.always)
	for _, f := range facts {
		at = append(at, p.byFact[f]...)
	}
	slices.Sort(at)
	steps := make([]step, len(at))
	for i, n := range at {
		steps[i] = step{rule: p.rules[n].rule, tier: p.rules[n].tier}
	}
	skip := len(steps)
	for i := len(steps) - 1; i >= 0; i-- {
		if i+1 < len(steps) && steps[i+1].tier != steps[i].tier {
			skip = i + 1
		}
		steps[i].skip = skip
	}
	return steps
}

// joinProtocols appends a protocol's regions, or widens the last region if it
// says the same to all of the protocol.
func joinProtocols(row, regions dataplane.Row) dataplane.Row {
	if n := len(row); n > 0 && len(regions) == 1 {
		last, next := &row[n-1], regions[0]
		if last.LastProtocol+1 == next.FirstProtocol && whole(*last) && whole(next) &&
			last.Allow == next.Allow && last.Decider == next.Decider {
			last.LastProtocol = next.LastProtocol
			return row
		}
	}
	return append(row, regions...)
}

func whole(r dataplane.Region) bool {
	return r.Dst == dataplane.FullRange && r.Src == dataplane.FullRange
}

// rowMaker evaluates a program for one class.
type rowMaker struct {
	e     *Engine
	p     *program
	facts []uint32
	steps []step

	rest     outcome // what protocols that no step names get, once known
	restDone bool
}

// specialProtocols marks those that some step tells apart from others.
func (m *rowMaker) specialProtocols() (special [256]bool) {
	for _, s := range m.steps {
		r := s.rule
		if r.protocol != nil {
			special[*r.protocol] = true
		}
		if r.notProtocol != nil {
			special[*r.notProtocol] = true
		}
		if r.icmp != nil || r.notICMP != nil {
			special[policy.ICMP], special[policy.ICMPv6] = true, true
		}
		for _, l := range []*portList{r.src.in, r.src.notIn, r.dst.in, r.dst.notIn} {
			if l != nil {
				special[policy.TCP], special[policy.UDP], special[policy.SCTP] = true, true, true
			}
		}
	}
	return special
}

// plain decides a range of protocols that no step tells apart.
func (m *rowMaker) plain(first, last policy.Protocol) dataplane.Region {
	if !m.restDone {
		m.rest, m.restDone = m.walk(m.boxes(first), nil), true
	}
	return dataplane.Region{
		FirstProtocol: first, LastProtocol: last, Dst: dataplane.FullRange, Src: dataplane.FullRange,
		Allow: m.rest.allow, Decider: m.rest.decider,
	}
}

// regions decides a protocol: its space is cut into strips where a step's
// destination ports begin or end, and each strip likewise by source ports.
func (m *rowMaker) regions(proto policy.Protocol) dataplane.Row {
	var row dataplane.Row
	var before []dataplane.Region // the strip before
	m.sweep(m.boxes(proto), lastOf(proto), func(dst dataplane.Range, boxes []box) {
		strip := widen(m.strip(proto, dst, boxes), lastOf(proto))
		if len(before) > 0 && sameStrip(before, strip) {
			for i := range before {
				before[i].Dst.Last = dst.Last
			}
			return
		}
		at := len(row)
		row = append(row, strip...)
		before = row[at:]
	})
	return widen(row, lastOf(proto)) // parts that were joined again
}

// sweep goes through the first dimension and visits each part in which the
// boxes do not change, with those of the boxes that can matter there, in order.
func (m *rowMaker) sweep(boxes []box, last uint16, visit func(dst dataplane.Range, boxes []box)) {
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
func (m *rowMaker) mattering(boxes []box, active []int, here []box) []box {
	next := 0 // the first step that can still be reached
	leap := 0 // where some of the second dimension goes on by a Pass
	for _, i := range active {
		b := boxes[i]
		if b.step < next {
			continue
		}
		here = append(here, b)
		s := &m.steps[b.step]
		switch s.rule.action {
		case policy.Log:
			continue // all goes on
		case policy.Pass:
			leap = s.skip
		}
		if len(b.src) != 1 || b.src[0] != dataplane.FullRange {
			continue
		}
		if leap <= b.step {
			break
		}
		next = leap
	}
	return here
}

// strip decides the part of a protocol with certain destination ports.
func (m *rowMaker) strip(proto policy.Protocol, dst dataplane.Range, boxes []box) []dataplane.Region {
	var strip []dataplane.Region
	for _, src := range cuts(boxes, lastOf(proto)) {
		out := m.walk(boxes, &src)
		if n := len(strip); n > 0 && strip[n-1].Allow == out.allow && strip[n-1].Decider == out.decider {
			strip[n-1].Src.Last = src.Last
			continue
		}
		strip = append(strip, dataplane.Region{
			FirstProtocol: proto, LastProtocol: proto, Dst: dst, Src: src, Allow: out.allow, Decider: out.decider,
		})
	}
	return strip
}

// lastOf returns the last port, or ICMP type and code, of a protocol.
func lastOf(proto policy.Protocol) uint16 {
	if proto.IsICMP() {
		return 255
	}
	return 65535
}

// widen makes ranges that hold all of their space the full range.
func widen(row dataplane.Row, last uint16) dataplane.Row {
	for i := range row {
		for _, r := range []*dataplane.Range{&row[i].Dst, &row[i].Src} {
			if r.First == 0 && r.Last == last {
				r.Last = dataplane.FullRange.Last
			}
		}
	}
	return row
}

func sameStrip(a, b []dataplane.Region) bool {
	return slices.EqualFunc(a, b, func(x, y dataplane.Region) bool {
		return x.Src == y.Src && x.Allow == y.Allow && x.Decider == y.Decider
	})
}

// walk goes through the steps in order, tier by tier, at a point that all boxes
// hold in the first dimension and that begins src in the second (nil: all do).
// What is logged on the way makes a decider of its own.
func (m *rowMaker) walk(boxes []box, src *dataplane.Range) outcome {
	var logs []policy.Decider
	next := 0
	for i := range boxes {
		b := &boxes[i]
		if b.step < next || src != nil && !holds(b.src, src.First) {
			continue
		}
		s := &m.steps[b.step]
		switch s.rule.action {
		case policy.Log:
			logs = append(logs, s.rule.by)
		case policy.Allow, policy.Deny:
			if len(logs) > 0 {
				return outcome{s.rule.action == policy.Allow, m.e.decider(m.p, s.rule.by, dataplane.LogsOf(logs))}
			}
			if s.rule.by == (policy.Decider{}) {
				return outcome{allow: true} // nothing stands against it
			}
			if s.decider == 0 {
				s.decider = m.e.decider(m.p, s.rule.by, "")
			}
			return outcome{s.rule.action == policy.Allow, s.decider}
		case policy.Pass:
			next = s.skip
		}
	}
	return outcome{} // not reached: the last step, the profile, matches everything
}

// boxes returns the extents of the steps that can match the protocol, in order.
func (m *rowMaker) boxes(proto policy.Protocol) []box {
	var boxes []box
	for i, s := range m.steps {
		r := s.rule
		if r.protocol != nil && *r.protocol != proto || r.notProtocol != nil && *r.notProtocol == proto {
			continue
		}
		if r.icmp != nil && !proto.IsICMP() {
			continue
		}
		if !proto.HasPorts() && (r.src.in != nil || r.dst.in != nil) {
			continue
		}
		switch {
		case proto.IsICMP() && (r.icmp != nil || r.notICMP != nil):
			boxes = append(boxes, icmpBoxes(i, r)...)
		case proto.HasPorts():
			b := box{i, m.ports(r.dst, proto), m.ports(r.src, proto)}
			if len(b.dst) > 0 && len(b.src) > 0 {
				boxes = append(boxes, b)
			}
		default:
			boxes = append(boxes, box{i, fullRanges, fullRanges})
		}
	}
	return boxes
}

var fullRanges = []dataplane.Range{dataplane.FullRange}

// icmpBoxes returns the types and codes that the rule matches. Several boxes of
// one step are needed where a type and a code together are excluded.
func icmpBoxes(i int, r *rule) []box {
	types, codes := fullRanges, fullRanges
	if r.icmp != nil {
		types, codes = only(r.icmp.Type), only(r.icmp.Code)
	}
	n := r.notICMP
	switch {
	case n == nil:
		return []box{{i, types, codes}}
	case n.Type == nil && n.Code == nil:
		return nil
	case n.Code == nil:
		return nonEmpty(box{i, subtract(types, only(n.Type)), codes})
	case n.Type == nil:
		return nonEmpty(box{i, types, subtract(codes, only(n.Code))})
	}
	return append(nonEmpty(box{i, subtract(types, only(n.Type)), codes}),
		nonEmpty(box{i, intersect(types, only(n.Type)), subtract(codes, only(n.Code))})...)
}

func nonEmpty(b box) []box {
	if len(b.dst) == 0 || len(b.src) == 0 {
		return nil
	}
	return []box{b}
}

func only(v *uint8) []dataplane.Range {
	if v == nil {
		return fullRanges
	}
	return []dataplane.Range{{First: uint16(*v), Last: uint16(*v)}}
}

// ports returns the ports that the match lets through, named ones looked up.
func (m *rowMaker) ports(pm portMatch, proto policy.Protocol) []dataplane.Range {
	in := fullRanges
	if pm.in != nil {
		in = m.listed(pm.in, pm.own, proto)
	}
	if pm.notIn != nil {
		in = subtract(in, m.listed(pm.notIn, pm.own, proto))
	}
	return in
}

func (m *rowMaker) listed(l *portList, own bool, proto policy.Protocol) []dataplane.Range {
	ranges := slices.Clone(l.ranges)
	known := m.facts
	if own {
		known = m.p.own
	}
	for _, id := range known {
		f := m.e.facts.at(id)
		if f.name != 0 && f.protocol == proto && slices.Contains(l.names, f.name) {
			ranges = append(ranges, dataplane.Range{First: f.port, Last: f.port})
		}
	}
	return normalize(ranges)
}
