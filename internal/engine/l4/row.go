package l4

import (
	"encoding/binary"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// maker makes one row.
//
// A protocol is a plane: destination ports by source ports, or ICMP types by codes.
// What a rule matches there is one or more boxes. The plane is cut into strips
// where a box begins or ends in the first dimension, and a strip into parts where
// one does in the second; within a part all points are decided alike, so that one
// walk through the rules decides it. Then equal neighbours are joined again.
type maker struct {
	rules   []TierRule
	skips   []int // by rule: where Pass goes on, at the first rule of the next tier
	ids     []dataplane.DeciderID
	named   NamedPorts
	ruleRef RuleRefs

	rest     outcome // what protocols that no rule names get, once known
	restDone bool
}

// outcome is what the rules say to one part of a protocol.
type outcome struct {
	allow   bool
	decider dataplane.DeciderID
}

// Row returns the verdict on everything that a peer may do, which the rules decide
// in their order: tiers, Pass and what is logged become disjoint regions. The last
// rule must match everything and decide.
func Row(rules []TierRule, named NamedPorts, ruleRef RuleRefs) dataplane.Row {
	m := maker{rules: rules, skips: skips(rules), ids: make([]dataplane.DeciderID, len(rules)), named: named, ruleRef: ruleRef}
	var row dataplane.Row
	special := m.specialProtocols()
	for proto := 0; proto <= 255; proto++ {
		if special[proto] {
			row = joinProtocols(m.appendRegions(row, policy.Protocol(proto)), len(row))
			continue
		}
		first := proto
		for proto < 255 && !special[proto+1] {
			proto++
		}
		row = joinProtocols(append(row, m.plain(policy.Protocol(first), policy.Protocol(proto))), len(row))
	}
	if cap(row)-len(row) > len(row)/8 {
		row = slices.Clone(row) // rows are kept for long
	}
	return row
}

// skips returns, for each rule, the first rule of the next tier.
func skips(rules []TierRule) []int {
	out := make([]int, len(rules))
	skip := len(rules)
	for i := len(rules) - 1; i >= 0; i-- {
		if i+1 < len(rules) && rules[i+1].Tier != rules[i].Tier {
			skip = i + 1
		}
		out[i] = skip
	}
	return out
}

// joinProtocols widens the region before at, if what follows there is one region that says the
// same to all of its protocol.
func joinProtocols(row dataplane.Row, at int) dataplane.Row {
	if at > 0 && len(row) == at+1 {
		last, next := &row[at-1], row[at]
		if last.LastProtocol+1 == next.FirstProtocol && whole(*last) && whole(next) &&
			last.Allow == next.Allow && last.Decider == next.Decider {
			last.LastProtocol = next.LastProtocol
			return row[:at]
		}
	}
	return row
}

func whole(r dataplane.Region) bool {
	return r.Dst == dataplane.FullRange && r.Src == dataplane.FullRange
}

// specialProtocols marks those that some rule tells apart from others.
func (m *maker) specialProtocols() (special [256]bool) {
	for _, s := range m.rules {
		r := s.Rule
		if r.Protocol.Set {
			special[r.Protocol.Value] = true
		}
		if r.NotProtocol.Set {
			special[r.NotProtocol.Value] = true
		}
		if r.ICMP.Set || r.NotICMP.Set {
			special[policy.ICMP], special[policy.ICMPv6] = true, true
		}
		if r.Src != (Ports{}) || r.Dst != (Ports{}) {
			special[policy.TCP], special[policy.UDP], special[policy.SCTP] = true, true, true
		}
	}
	return special
}

// plain decides a range of protocols that no rule tells apart.
func (m *maker) plain(first, last policy.Protocol) dataplane.Region {
	if !m.restDone {
		m.rest, m.restDone = m.walk(m.boxes(first), nil), true
	}
	return dataplane.Region{
		FirstProtocol: first, LastProtocol: last, Dst: dataplane.FullRange, Src: dataplane.FullRange,
		Allow: m.rest.allow, Decider: m.rest.decider,
	}
}

// appendRegions decides a protocol: its space is cut into strips where a rule's
// destination ports begin or end, and each strip likewise by source ports.
func (m *maker) appendRegions(row dataplane.Row, proto policy.Protocol) dataplane.Row {
	first := len(row)
	var before []dataplane.Region // the strip before
	known := map[string][]dataplane.Region{}
	m.sweep(m.boxes(proto), lastOf(proto), func(dst dataplane.Range, boxes []box) {
		strip := m.knownStrip(known, proto, dst, boxes)
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
	widen(row[first:], lastOf(proto)) // parts that were joined again
	return row
}

// knownStrip returns the strip for boxes, which is the same wherever these are: a rule with many
// ports is met again at each of them.
func (m *maker) knownStrip(known map[string][]dataplane.Region, proto policy.Protocol, dst dataplane.Range, boxes []box) []dataplane.Region {
	if len(boxes) > maxKnownBoxes {
		return widen(m.strip(proto, dst, boxes), lastOf(proto))
	}
	key := make([]byte, 0, 4*maxKnownBoxes)
	for i := range boxes {
		key = binary.LittleEndian.AppendUint32(key, uint32(boxes[i].index))
	}
	strip, ok := known[string(key)]
	if !ok {
		strip = widen(m.strip(proto, dst, boxes), lastOf(proto))
		known[string(key)] = strip
	}
	for i := range strip {
		strip[i].Dst = dst
	}
	return strip
}

// maxKnownBoxes bounds what a strip is known by: those of more boxes seldom come again.
const maxKnownBoxes = 16

// strip decides the part of a protocol with certain destination ports.
func (m *maker) strip(proto policy.Protocol, dst dataplane.Range, boxes []box) []dataplane.Region {
	var strip []dataplane.Region
	for _, src := range spans(boxes, lastOf(proto)) {
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

// walk goes through the rules in order, tier by tier, at a point that all boxes
// hold in the first dimension and that begins src in the second (nil: all do).
// What is logged on the way makes a reference of its own.
func (m *maker) walk(boxes []box, src *dataplane.Range) outcome {
	var logs []policy.Decider
	next := 0
	for i := range boxes {
		b := &boxes[i]
		if b.rule < next || src != nil && !holds(b.src, src.First) {
			continue
		}
		s := &m.rules[b.rule]
		switch s.Rule.Action {
		case policy.Log:
			logs = append(logs, s.Rule.By)
		case policy.Allow, policy.Deny:
			if len(logs) > 0 {
				return outcome{s.Rule.Action == policy.Allow, m.ruleRef(s.Rule.By, dataplane.LogsOf(logs))}
			}
			if s.Rule.By == (policy.Decider{}) {
				return outcome{allow: true} // nothing stands against it
			}
			if m.ids[b.rule] == 0 {
				m.ids[b.rule] = m.ruleRef(s.Rule.By, "")
			}
			return outcome{s.Rule.Action == policy.Allow, m.ids[b.rule]}
		case policy.Pass:
			next = m.skips[b.rule]
		}
	}
	return outcome{} // not reached: the last rule, the profile, matches everything
}
