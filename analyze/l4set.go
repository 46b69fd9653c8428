package analyze

import (
	"cmp"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// lowestEphemeral is the lowest of the ports that connections come from, up to 65535.
const lowestEphemeral = 49152

// span is a range of ports, ICMP types or codes, both ends included.
type span struct{ first, last int }

// L4Set is a set of connections, as seen from one source port: protocols with
// destination ports, ICMP types and codes. The zero L4Set is empty. It has one form:
// equal sets have equal fields. Sets are not changed once they are made.
type L4Set struct {
	full  protocolSet // protocols of which everything is in the set
	ports []portPart
	icmp  []icmpPart
}

// protocolSet has a bit for each protocol.
type protocolSet [4]uint64

func (s *protocolSet) has(p policy.Protocol) bool { return s[p/64]&(1<<(p%64)) != 0 }
func (s *protocolSet) add(p policy.Protocol)      { s[p/64] |= 1 << (p % 64) }
func (s *protocolSet) remove(p policy.Protocol)   { s[p/64] &^= 1 << (p % 64) }

// allProtocols is the set of all protocols.
var allProtocols = protocolSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// portPart is a protocol of which some ports are in a set: sorted spans that
// neither meet nor touch, not all and not none.
type portPart struct {
	protocol policy.Protocol
	spans    []span
}

// icmpPart is a protocol of which some types and codes are in a set: sorted
// runs of types that allow the same codes.
type icmpPart struct {
	protocol policy.Protocol
	runs     []icmpRun
}

// icmpRun is a run of types, all with the same codes, which are never none.
type icmpRun struct {
	types span
	codes []span
}

// splitAt returns the lowest ephemeral source port at which a row does not say what it says
// at the lowest of all; 0 if there is none. same reports whether it does at a port.
func splitAt(row dataplane.Row, same func(port uint16) bool) uint16 {
	var starts []uint16
	for _, r := range row {
		if r.Src.First > lowestEphemeral && r.FirstProtocol == r.LastProtocol && r.FirstProtocol.HasPorts() {
			starts = append(starts, r.Src.First)
		}
	}
	if len(starts) == 0 {
		return 0
	}
	slices.Sort(starts)
	for _, port := range slices.Compact(starts) {
		if !same(port) {
			return port
		}
	}
	return 0
}

// allowedBy returns the set that a row allows to connections from a source port.
func allowedBy(row dataplane.Row, srcPort uint16) L4Set {
	return holding(row, srcPort, func(r dataplane.Region) bool { return r.Allow })
}

// holding returns what some regions of a row hold of connections from a source port.
func holding(row dataplane.Row, srcPort uint16, wanted func(dataplane.Region) bool) L4Set {
	var set L4Set
	ports := map[policy.Protocol][]span{}
	types := map[policy.Protocol]*[256][]span{}
	for _, r := range row {
		switch {
		case !wanted(r):
		case r.FirstProtocol != r.LastProtocol || !r.FirstProtocol.HasPorts() && !r.FirstProtocol.IsICMP():
			for p := int(r.FirstProtocol); p <= int(r.LastProtocol); p++ {
				set.full.add(policy.Protocol(p))
			}
		case r.FirstProtocol.HasPorts():
			if r.Src.First <= srcPort && srcPort <= r.Src.Last {
				ports[r.FirstProtocol] = append(ports[r.FirstProtocol], span{int(r.Dst.First), int(r.Dst.Last)})
			}
		default:
			if types[r.FirstProtocol] == nil {
				types[r.FirstProtocol] = new([256][]span)
			}
			for icmpType := int(r.Dst.First); icmpType <= min(int(r.Dst.Last), 255); icmpType++ {
				codes := &types[r.FirstProtocol][icmpType]
				*codes = append(*codes, span{int(r.Src.First), min(int(r.Src.Last), 255)})
			}
		}
	}
	for p, spans := range ports {
		set.setPorts(p, union(spans))
	}
	for p, codes := range types {
		set.setTypes(p, codes)
	}
	set.sort()
	return set
}

// setPorts puts the ports of a protocol into a set that has none of them yet.
func (s *L4Set) setPorts(p policy.Protocol, spans []span) {
	switch {
	case len(spans) == 0:
	case spans[0] == span{0, 65535}:
		s.full.add(p)
	default:
		s.ports = append(s.ports, portPart{p, spans})
	}
}

// setTypes puts the codes of every type of a protocol into a set.
func (s *L4Set) setTypes(p policy.Protocol, codes *[256][]span) {
	var runs []icmpRun
	for icmpType := range codes {
		c := union(codes[icmpType])
		last := len(runs) - 1
		switch {
		case len(c) == 0:
		case last >= 0 && runs[last].types.last == icmpType-1 && slices.Equal(runs[last].codes, c):
			runs[last].types.last = icmpType
		default:
			runs = append(runs, icmpRun{span{icmpType, icmpType}, c})
		}
	}
	switch {
	case len(runs) == 0:
	case runs[0].types == span{0, 255} && runs[0].allCodes():
		s.full.add(p)
	default:
		s.icmp = append(s.icmp, icmpPart{p, runs})
	}
}

func (r icmpRun) allCodes() bool { return r.codes[0] == span{0, 255} }

func (s *L4Set) sort() {
	slices.SortFunc(s.ports, func(a, b portPart) int { return cmp.Compare(a.protocol, b.protocol) })
	slices.SortFunc(s.icmp, func(a, b icmpPart) int { return cmp.Compare(a.protocol, b.protocol) })
}

// union returns spans sorted, those that meet or touch made one.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// common returns the spans that two sorted lists have in common.
func common(a, b []span) []span {
	var out []span
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].first, b[0].first), min(a[0].last, b[0].last); first <= last {
			out = append(out, span{first, last})
		}
		if a[0].last < b[0].last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func (s *L4Set) portsOf(p policy.Protocol) []span {
	for _, part := range s.ports {
		if part.protocol == p {
			return part.spans
		}
	}
	return nil
}

func (s *L4Set) typesOf(p policy.Protocol) icmpPart {
	for _, part := range s.icmp {
		if part.protocol == p {
			return part
		}
	}
	return icmpPart{protocol: p}
}

func commonTypes(a, b icmpPart) *[256][]span {
	var codes [256][]span
	for _, x := range a.runs {
		for _, y := range b.runs {
			for t := max(x.types.first, y.types.first); t <= min(x.types.last, y.types.last); t++ {
				codes[t] = common(x.codes, y.codes)
			}
		}
	}
	return &codes
}
