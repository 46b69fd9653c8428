package tabletest

import (
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// borders are numbers near which regions of random rows begin and end.
var borders = []uint16{0, 1, 7, 8, 9, 22, 79, 80, 81, 255, 443, 1023, 1024, 32767, 49152, 65534, 65535}

var protocols = []policy.Protocol{
	0, policy.ICMP, 2, 5, policy.TCP, 7, policy.UDP, 47, policy.ICMPv6, 131, policy.SCTP, policy.UDPLite, 254, 255,
}

// DrawFlow draws a flow between addresses that random tables know.
func (m *Model) DrawFlow(t *rapid.T) policy.Flow {
	pool := pools[rapid.IntRange(0, 1).Draw(t, "family")]
	f := policy.Flow{
		Src:      rapid.SampledFrom(pool).Draw(t, "src"),
		Dst:      rapid.SampledFrom(pool).Draw(t, "dst"),
		Protocol: rapid.SampledFrom(protocols).Draw(t, "protocol"),
	}
	switch {
	case f.Protocol.HasPorts():
		f.SrcPort = rapid.SampledFrom(borders).Draw(t, "source port")
		f.DstPort = rapid.SampledFrom(borders).Draw(t, "port")
	case f.Protocol.IsICMP():
		f.ICMPType = uint8(min(255, rapid.SampledFrom(borders).Draw(t, "type")))
		f.ICMPCode = uint8(min(255, rapid.SampledFrom(borders).Draw(t, "code")))
	}
	return f
}

// drawRow draws a row; decider gives deciders for its regions.
func drawRow(t *rapid.T, decider func() dataplane.DeciderID) dataplane.Row {
	var row dataplane.Row
	add := func(first, last policy.Protocol, dst, src dataplane.Range) {
		g := dataplane.Region{FirstProtocol: first, LastProtocol: last, Dst: dst, Src: src}
		g.Allow = rapid.Bool().Draw(t, "allow")
		if !g.Allow || rapid.IntRange(0, 4).Draw(t, "decided") > 0 {
			g.Decider = decider()
		}
		row = append(row, g)
	}
	next := 0
	for _, p := range protocols {
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0, 1:
			continue // part of the next region
		}
		if int(p) > next {
			add(policy.Protocol(next), p-1, dataplane.FullRange, dataplane.FullRange)
		}
		next = int(p) + 1
		if !p.HasPorts() && !p.IsICMP() {
			add(p, p, dataplane.FullRange, dataplane.FullRange)
			continue
		}
		for _, dst := range drawCuts(t, p) {
			for _, src := range drawCuts(t, p) {
				add(p, p, dst, src)
			}
		}
	}
	if next < 256 {
		add(policy.Protocol(next), 255, dataplane.FullRange, dataplane.FullRange)
	}
	return row
}

// drawCuts cuts an axis of the protocol's space into ranges.
func drawCuts(t *rapid.T, p policy.Protocol) []dataplane.Range {
	var cuts []dataplane.Range
	first := uint16(0)
	if rapid.IntRange(0, 2).Draw(t, "cut") == 0 {
		return []dataplane.Range{dataplane.FullRange}
	}
	for _, b := range borders {
		if b == 0 || p.IsICMP() && b > 255 || rapid.IntRange(0, 3).Draw(t, "border") > 0 {
			continue
		}
		cuts = append(cuts, dataplane.Range{First: first, Last: b - 1})
		first = b
	}
	return append(cuts, dataplane.Range{First: first, Last: 65535})
}

// Row draws a row whose deciders are few numbers.
func Row(t *rapid.T) dataplane.Row {
	return drawRow(t, func() dataplane.DeciderID { return dataplane.DeciderID(rapid.IntRange(1, 3).Draw(t, "decider")) })
}

// L4 draws what a flow is at layer 4, near what random rows tell apart.
func L4(t *rapid.T) policy.Flow { return (&Model{}).DrawFlow(t) }
