package nft

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// rowParts are the chains and sets that a row becomes.
type rowParts struct {
	chains []codec.ChainRules
	sets   []codec.SetContent
}

// emit hands out all of it.
func (p rowParts) emit(out sink) {
	for _, s := range p.sets {
		out.AddSet(s.SetSpec)
		for _, e := range s.Elements {
			out.AddElement(s.Name, e)
		}
	}
	for _, c := range p.chains {
		out.AddChain(c)
	}
}

// maxLinear is how many exceptions from the usual verdict are rules; more of
// them become a verdict map. Up to here rules are as fast, and far cheaper to
// make. Tests vary it.
var maxLinear = 5

// segment is a span of one axis (protocols, ports, types, codes) with its verdict.
type segment struct {
	first, last uint16
	verdict     codec.Verdict
}

// axis is one dimension of layer 4 space.
type axis struct {
	load    []codec.Expr // brings the value into the register
	bytes   int          // how long it is
	keyType codec.DataType
	last    uint16
}

func (a axis) key(v uint16) string {
	if a.bytes == 1 {
		return string([]byte{byte(v)})
	}
	return string([]byte{byte(v >> 8), byte(v)})
}

var protocolAxis = axis{[]codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto}}, 1, codec.InetProto, 255}

// destinationAxis is that of destination ports, or ICMP types; sourceAxis that of
// source ports, or ICMP codes.
func destinationAxis(p policy.Protocol) axis {
	switch p {
	case policy.ICMP:
		return axis{append(isProtocol(p), payload(codec.TransportHeader, 0, 1)), 1, codec.ICMPType, 255}
	case policy.ICMPv6:
		return axis{append(isProtocol(p), payload(codec.TransportHeader, 0, 1)), 1, codec.ICMPv6Type, 255}
	}
	return axis{append(isProtocol(p), payload(codec.TransportHeader, 2, 2)), 2, codec.InetService, 65535}
}

func sourceAxis(p policy.Protocol) axis {
	switch p {
	case policy.ICMP:
		return axis{append(isProtocol(p), payload(codec.TransportHeader, 1, 1)), 1, codec.ICMPCode, 255}
	case policy.ICMPv6:
		return axis{append(isProtocol(p), payload(codec.TransportHeader, 1, 1)), 1, codec.ICMPv6Code, 255}
	}
	return axis{append(isProtocol(p), payload(codec.TransportHeader, 0, 2)), 2, codec.InetService, 65535}
}

// compileRow turns a row, which is complete and disjoint, into chains.
func compileRow(name string, row dataplane.Row) (rowParts, error) {
	var parts rowParts
	var protocols []segment // those without ports and types, as one
	split := map[policy.Protocol][]dataplane.Column{}
	for _, g := range row {
		if g.FirstProtocol == g.LastProtocol && (g.Dst != dataplane.FullRange || g.Src != dataplane.FullRange) {
			if _, done := split[g.FirstProtocol]; done {
				continue
			}
			columns, err := row.Columns(g.FirstProtocol)
			if err != nil {
				return rowParts{}, fmt.Errorf("%s: %w", name, err)
			}
			if len(columns) == 1 && len(columns[0].Cells) == 1 {
				split[g.FirstProtocol] = nil // several regions, but all say the same
				g = columns[0].Cells[0]
			} else {
				split[g.FirstProtocol] = columns
				continue
			}
		}
		protocols = append(protocols, segment{uint16(g.FirstProtocol), uint16(g.LastProtocol), target(g)})
	}
	usual := drop // every protocol is split: there is no other verdict to fall back to
	var chain codec.ChainRules
	rest := rules(protocolAxis, protocols, name+"-protocols", &parts, orderRowSet)
	if len(rest) > 0 {
		usual = rest[len(rest)-1].Exprs[0].Verdict
	}
	for _, p := range []policy.Protocol{policy.ICMP, policy.TCP, policy.UDP, policy.ICMPv6, policy.SCTP} {
		columns := split[p]
		if columns == nil {
			continue
		}
		prefix := fmt.Sprintf("%s-%d", name, p)
		var segments []segment
		var seen []dataplane.Column
		for _, c := range columns {
			v := target(c.Cells[0])
			if len(c.Cells) > 1 {
				v = goTo(columnOf(&seen, prefix, p, c, &parts))
			}
			segments = append(segments, segment{c.Dst.First, c.Dst.Last, v})
		}
		list := rules(destinationAxis(p), segments, prefix, &parts, orderRowSet)
		last := &list[len(list)-1]
		if v := last.Exprs[0].Verdict; v == usual {
			list = list[:len(list)-1] // falls through to what all others get
		} else {
			*last = when(isProtocol(p), v)
		}
		chain.Rules = append(chain.Rules, list...)
	}
	if len(rest) == 0 {
		rest = []codec.Rule{always(usual)}
	}
	chain.Name, chain.Order, chain.Rules = name, orderRow, append(chain.Rules, rest...)
	parts.chains = append(parts.chains, chain)
	return parts, nil
}

// columnOf returns the chain of a column, which one that says the same may have already: a rule with
// many destination ports and many source ports says the same at each of the former. seen
// are some of those that there are.
func columnOf(seen *[]dataplane.Column, prefix string, p policy.Protocol, c dataplane.Column, parts *rowParts) string {
	for _, old := range *seen {
		if old.SaysTheSame(c) {
			return columnName(prefix, old)
		}
	}
	if len(*seen) < maxSeen {
		*seen = append(*seen, c)
	}
	return column(prefix, p, c, parts)
}

// maxSeen is with how many columns another one is compared.
const maxSeen = 16

func columnName(prefix string, c dataplane.Column) string {
	return fmt.Sprintf("%s-%d", prefix, c.Dst.First)
}

// column makes the chain of a column that the source axis splits, and names it.
func column(prefix string, p policy.Protocol, c dataplane.Column, parts *rowParts) string {
	name := columnName(prefix, c)
	var segments []segment
	for _, g := range c.Cells {
		segments = append(segments, segment{g.Src.First, g.Src.Last, target(g)})
	}
	parts.chains = append(parts.chains, codec.ChainRules{
		Name: name, Order: orderColumn, Rules: rules(sourceAxis(p), segments, name, parts, orderColumnSet),
	})
	return name
}

// rules returns rules for segments that hold the axis, or some of it: what differs
// from the most frequent verdict first, and last, without conditions, that one.
func rules(a axis, segments []segment, set string, parts *rowParts, order codec.DeleteOrder) []codec.Rule {
	segments = merge(segments)
	if len(segments) == 0 {
		return nil
	}
	count := map[codec.Verdict]int{}
	usual := segments[0].verdict
	for _, s := range segments {
		count[s.verdict]++
		if count[s.verdict] > count[usual] {
			usual = s.verdict
		}
	}
	var others []segment
	for _, s := range segments {
		if s.verdict != usual {
			others = append(others, s)
		}
	}
	var list []codec.Rule
	if len(others) <= maxLinear {
		for _, s := range others {
			list = append(list, when(append(slices.Clone(a.load), a.within(s)), s.verdict))
		}
	} else {
		parts.sets = append(parts.sets, a.verdictMap(set, others, order))
		list = append(list, codec.Rule{Exprs: append(slices.Clone(a.load), bySet(set))})
	}
	return append(list, always(usual))
}

// merge joins neighbours of one verdict. The segments are sorted.
func merge(segments []segment) []segment {
	var merged []segment
	for _, s := range segments {
		if n := len(merged); n > 0 && merged[n-1].verdict == s.verdict && int(merged[n-1].last)+1 == int(s.first) {
			merged[n-1].last = s.last
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// within matches the register against a segment.
func (a axis) within(s segment) codec.Expr {
	if s.first == s.last {
		return is([]byte(a.key(s.first))...)
	}
	return codec.Expr{Kind: codec.InRange, Register: codec.Reg1, Data: a.key(s.first), To: a.key(s.last)}
}

// verdictMap is a map of segments: of single values, or of intervals.
func (a axis) verdictMap(name string, segments []segment, order codec.DeleteOrder) codec.SetContent {
	set := codec.SetContent{SetSpec: codec.SetSpec{Name: name, KeyType: a.keyType, KeyLen: uint32(a.bytes), Verdicts: true}, Order: order}
	for _, s := range segments {
		set.Interval = set.Interval || s.first != s.last
	}
	for _, s := range segments {
		set.Elements = append(set.Elements, codec.Element{Key: a.key(s.first), Verdict: s.verdict})
		if set.Interval && s.last < a.last {
			set.Elements = append(set.Elements, codec.Element{Key: a.key(s.last + 1), End: true})
		}
	}
	return set
}
