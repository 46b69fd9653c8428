package nft

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// compileExceptions turns regions, disjoint and sorted, into chains; otherwise are the rules
// for what none of them holds.
func compileExceptions(name string, regions dataplane.Row, otherwise []codec.Rule) (rowParts, error) {
	var parts rowParts
	var protocols []segment // those without ports and types, as one
	var list []codec.Rule
	for len(regions) > 0 {
		g := regions[0]
		if g.FirstProtocol != g.LastProtocol || g.Dst == dataplane.FullRange && g.Src == dataplane.FullRange {
			protocols = append(protocols, segment{uint16(g.FirstProtocol), uint16(g.LastProtocol), target(g)})
			regions = regions[1:]
			continue
		}
		n := 1
		for n < len(regions) && regions[n].FirstProtocol == g.FirstProtocol && regions[n].LastProtocol == g.LastProtocol {
			n++
		}
		list = append(list, protocolExceptions(name, g.FirstProtocol, regions[:n], otherwise, &parts)...)
		regions = regions[n:]
	}
	list = append(list, exceptionRules(protocolAxis, protocols, name+"-protocols", &parts, orderRowSet)...)
	parts.chains = append(parts.chains, codec.ChainRules{Name: name, Order: orderExceptions, Rules: append(list, otherwise...)})
	return parts, nil
}

// protocolExceptions are the rules for regions of one protocol.
func protocolExceptions(name string, p policy.Protocol, regions dataplane.Row, otherwise []codec.Rule, parts *rowParts) []codec.Rule {
	prefix := fmt.Sprintf("%s-%d", name, p)
	dstAxis, srcAxis := destinationAxis(p), sourceAxis(p)
	var segments []segment
	for len(regions) > 0 {
		n, dst := 1, regions[0].Dst
		for n < len(regions) && regions[n].Dst == dst {
			n++
		}
		v := target(regions[0])
		if src := regions[0].Src; src.First > 0 || src.Last < srcAxis.last {
			var cells []segment
			for _, g := range regions[:n] {
				cells = append(cells, segment{g.Src.First, min(g.Src.Last, srcAxis.last), target(g)})
			}
			column := fmt.Sprintf("%s-%d", prefix, dst.First)
			rules := exceptionRules(srcAxis, cells, column, parts, orderColumnSet)
			parts.chains = append(parts.chains, codec.ChainRules{Name: column, Order: orderColumn, Rules: append(rules, otherwise...)})
			v = goTo(column)
		}
		segments = append(segments, segment{dst.First, min(dst.Last, dstAxis.last), v})
		regions = regions[n:]
	}
	return exceptionRules(dstAxis, segments, prefix, parts, orderRowSet)
}

// exceptionRules are rules for segments of an axis, which let by what is in none.
func exceptionRules(a axis, segments []segment, set string, parts *rowParts, order codec.DeleteOrder) []codec.Rule {
	segments = merge(segments)
	if len(segments) > maxLinear {
		parts.sets = append(parts.sets, a.verdictMap(set, segments, order))
		return []codec.Rule{{Exprs: append(slices.Clone(a.load), bySet(set))}}
	}
	var list []codec.Rule
	for _, s := range segments {
		list = append(list, when(append(slices.Clone(a.load), a.within(s)), s.verdict))
	}
	return list
}
