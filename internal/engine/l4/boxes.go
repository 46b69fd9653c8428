package l4

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// box is one rule's extent in the two dimensions of one protocol: destination
// and source ports, or ICMP type and code.
type box struct {
	rule     int
	index    int               // among the boxes of the protocol
	dst, src []dataplane.Range // sorted, disjoint
}

// boxes returns the extents of the rules that can match the protocol, in order.
func (m *maker) boxes(proto policy.Protocol) []box {
	var boxes []box
	for i, s := range m.rules {
		r := s.Rule
		if r.Protocol.Set && r.Protocol.Value != proto || r.NotProtocol.Set && r.NotProtocol.Value == proto {
			continue
		}
		if r.ICMP.Set && !proto.IsICMP() {
			continue
		}
		if !proto.HasPorts() && (r.Src.In != nil || r.Dst.In != nil) {
			continue
		}
		switch {
		case proto.IsICMP() && (r.ICMP.Set || r.NotICMP.Set):
			boxes = append(boxes, icmpBoxes(i, r)...)
		case proto.HasPorts():
			b := box{rule: i, dst: m.ports(r.Dst, false, proto), src: m.ports(r.Src, true, proto)}
			if len(b.dst) > 0 && len(b.src) > 0 {
				boxes = append(boxes, b)
			}
		default:
			boxes = append(boxes, box{rule: i, dst: fullRanges, src: fullRanges})
		}
	}
	for i := range boxes {
		boxes[i].index = i
	}
	return boxes
}

var fullRanges = []dataplane.Range{dataplane.FullRange}

// icmpBoxes returns the types and codes that the rule matches. Several boxes of
// one rule are needed where a type and a code together are excluded.
func icmpBoxes(i int, r *Rule) []box {
	types, codes := fullRanges, fullRanges
	if r.ICMP.Set {
		types, codes = only(r.ICMP.Type), only(r.ICMP.Code)
	}
	n := r.NotICMP
	switch {
	case !n.Set:
		return []box{{rule: i, dst: types, src: codes}}
	case !n.Type.Set && !n.Code.Set:
		return nil
	case !n.Code.Set:
		return nonEmpty(box{rule: i, dst: subtract(types, only(n.Type)), src: codes})
	case !n.Type.Set:
		return nonEmpty(box{rule: i, dst: types, src: subtract(codes, only(n.Code))})
	}
	return append(nonEmpty(box{rule: i, dst: subtract(types, only(n.Type)), src: codes}),
		nonEmpty(box{rule: i, dst: intersect(types, only(n.Type)), src: subtract(codes, only(n.Code))})...)
}

func nonEmpty(b box) []box {
	if len(b.dst) == 0 || len(b.src) == 0 {
		return nil
	}
	return []box{b}
}

func only(v Optional[uint8]) []dataplane.Range {
	if !v.Set {
		return fullRanges
	}
	return []dataplane.Range{{First: uint16(v.Value), Last: uint16(v.Value)}}
}

// ports returns the ports that a match lets through, named ones looked up.
func (m *maker) ports(match Ports, source bool, proto policy.Protocol) []dataplane.Range {
	in := fullRanges
	if match.In != nil {
		in = m.listed(match.In, source, proto)
	}
	if match.NotIn != nil {
		in = subtract(in, m.listed(match.NotIn, source, proto))
	}
	return in
}

func (m *maker) listed(l *PortList, source bool, proto policy.Protocol) []dataplane.Range {
	ranges := slices.Clone(l.Ranges)
	if len(l.Names) > 0 {
		ranges = m.named(ranges, l.Names, source, proto)
	}
	return normalize(ranges)
}
