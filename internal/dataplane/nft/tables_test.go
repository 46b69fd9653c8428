package nft

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/policy"
)

// box is a part of layer 4 space: a protocol with destination ports or ICMP
// types, and source ports or codes. Zero ranges hold everything.
type box struct {
	protocol policy.Protocol
	dst, src dataplane.Range
}

func port(p policy.Protocol, n uint16) box {
	return box{protocol: p, dst: dataplane.Range{First: n, Last: n}}
}

// allowing returns a row that allows boxes by one decider, and denies the rest by
// another.
func allowing(allow, deny dataplane.DeciderID, boxes ...box) dataplane.Row {
	var row dataplane.Row
	region := func(first, last policy.Protocol, dst, src dataplane.Range, allowed bool) {
		id := deny
		if allowed {
			id = allow
		}
		row = append(row, dataplane.Region{FirstProtocol: first, LastProtocol: last, Dst: dst, Src: src, Allow: allowed, Decider: id})
	}
	byProtocol := map[policy.Protocol][]box{}
	for _, b := range boxes {
		if b.dst == (dataplane.Range{}) {
			b.dst = all
		}
		if b.src == (dataplane.Range{}) {
			b.src = all
		}
		byProtocol[b.protocol] = append(byProtocol[b.protocol], b)
	}
	next := 0
	for _, p := range slices.Sorted(maps.Keys(byProtocol)) {
		if int(p) > next {
			region(policy.Protocol(next), p-1, all, all, false)
		}
		next = int(p) + 1
		var dsts, srcs []dataplane.Range
		for _, b := range byProtocol[p] {
			dsts, srcs = append(dsts, b.dst), append(srcs, b.src)
		}
		for _, dst := range cut(dsts) {
			for _, src := range cut(srcs) {
				region(p, p, dst, src, slices.ContainsFunc(byProtocol[p], func(b box) bool {
					return b.dst.Contains(dst.First) && b.src.Contains(src.First)
				}))
			}
		}
	}
	if next < 256 {
		region(policy.Protocol(next), 255, all, all, false)
	}
	return row
}

// cut cuts the axis at the borders of ranges.
func cut(ranges []dataplane.Range) []dataplane.Range {
	starts := []int{0}
	for _, r := range ranges {
		starts = append(starts, int(r.First), int(r.Last)+1)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var out []dataplane.Range
	for i, first := range starts {
		if first > 65535 {
			break
		}
		last := 65535
		if i+1 < len(starts) {
			last = starts[i+1] - 1
		}
		out = append(out, dataplane.Range{First: uint16(first), Last: uint16(last)})
	}
	return out
}

// The tables of the tests with packets. Two pods, a and b, are local. Classes: of
// the world (1, 2), of pods (3, 4), of a CIDR (5, 6); even ones are IPv6.
const (
	world4, world6, pods4, pods6, office4, office6 dataplane.ClassID = 1, 2, 3, 4, 5, 6
)

var (
	podA4, podA6 = netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00:1::1")
	podB4, podB6 = netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd00:1::2")
	world4IP     = netip.MustParseAddr("192.0.2.9")
	world6IP     = netip.MustParseAddr("2001:db8::9")
	office4IP    = netip.MustParseAddr("198.51.100.7")
	office6IP    = netip.MustParseAddr("2001:db8:1::7")
	officeNet4   = netip.MustParsePrefix("198.51.100.0/24")
	officeNet6   = netip.MustParsePrefix("2001:db8:1::/48")
	deciders     = [...]dataplane.DeciderID{1, 2, 3, 4} // allow and deny, egress; allow and deny, ingress
)

// emptyTables has the classes, the deciders and the addresses, and governs nobody.
func emptyTables() *tabletest.Model {
	m := tabletest.First()
	m.Classes = map[dataplane.ClassID]bool{world4: true, world6: true, pods4: true, pods6: true, office4: true, office6: true}
	m.Nets = map[netip.Prefix]dataplane.ClassID{
		dataplane.WholeFamilies[0]: world4, dataplane.WholeFamilies[1]: world6, officeNet4: office4, officeNet6: office6,
	}
	m.Addrs = map[netip.Addr]dataplane.ClassID{podA4: pods4, podB4: pods4, podA6: pods6, podB6: pods6}
	for i, id := range deciders {
		m.Deciders[id] = dataplane.Decider{ID: id, Direction: policy.Direction(i / 2), By: policy.Decider{
			Tier: "default", Kind: policy.KindNetworkPolicy, Namespace: "test", Name: "pods", Rule: -(i % 2),
		}}
	}
	return m
}

// govern makes a program for a pod's address: a base, and rows for classes.
func govern(m *tabletest.Model, a netip.Addr, dir policy.Direction, base dataplane.Row, cells map[dataplane.ClassID]dataplane.Row) {
	id := dataplane.ProgramID(len(m.Programs) + 1)
	add := func(row dataplane.Row) dataplane.RowID {
		id := dataplane.RowID(len(m.Rows) + 1)
		m.Rows[id] = row
		return id
	}
	p := dataplane.Program{ID: id, Base: add(base), Cells: map[dataplane.ClassID]dataplane.RowID{}}
	for class, row := range cells {
		p.Cells[class] = add(row)
	}
	m.Programs[id] = p
	l := m.Locals[a]
	l.Addr = a
	if dir == policy.Egress {
		l.Egress = id
	} else {
		l.Ingress = id
	}
	m.Locals[a] = l
}

// podTables governs a's egress and b's ingress, in both families.
func podTables() *tabletest.Model {
	m := emptyTables()
	egress := func(boxes ...box) dataplane.Row { return allowing(1, 2, boxes...) }
	ingress := func(boxes ...box) dataplane.Row { return allowing(3, 4, boxes...) }
	toPods := func(icmp policy.Protocol, echo uint16) dataplane.Row {
		return egress(port(policy.TCP, 80), port(policy.TCP, 443), box{protocol: policy.TCP, dst: dataplane.Range{First: 8000, Last: 8100}},
			port(policy.TCP, 9000), port(policy.UDP, 53), port(icmp, echo), port(policy.SCTP, 7), box{protocol: 253})
	}
	fromPods := func(icmp policy.Protocol, echo uint16) dataplane.Row {
		many := []box{ // more than rules: a map of intervals
			port(policy.TCP, 80), port(policy.TCP, 82), port(policy.TCP, 84), port(policy.TCP, 86), port(policy.TCP, 88),
			port(policy.TCP, 90), {protocol: policy.TCP, dst: dataplane.Range{First: 8080, Last: 8090}},
			{protocol: policy.TCP, dst: dataplane.Range{First: 9000, Last: 9000}, src: dataplane.Range{First: 5000, Last: 5999}},
		}
		return ingress(append(many, port(policy.UDP, 53), port(policy.UDP, 54), port(icmp, echo), port(policy.SCTP, 7), box{protocol: 253})...)
	}
	govern(m, podA4, policy.Egress, egress(), map[dataplane.ClassID]dataplane.Row{
		pods4: toPods(policy.ICMP, 8), office4: egress(port(policy.TCP, 443), port(policy.ICMP, 13)),
	})
	govern(m, podA6, policy.Egress, egress(), map[dataplane.ClassID]dataplane.Row{
		pods6: toPods(policy.ICMPv6, 128), office6: egress(port(policy.TCP, 443)),
	})
	govern(m, podB4, policy.Ingress, ingress(), map[dataplane.ClassID]dataplane.Row{
		pods4: fromPods(policy.ICMP, 8), world4: ingress(port(policy.TCP, 80)),
	})
	govern(m, podB6, policy.Ingress, ingress(), map[dataplane.ClassID]dataplane.Row{
		pods6: fromPods(policy.ICMPv6, 128), world6: ingress(port(policy.TCP, 80)),
	})
	return m
}
