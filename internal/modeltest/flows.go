package modeltest

import (
	"cmp"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

// Points are where the decisions of a model may change: addresses, ports and
// ICMP types at and beside the edges of what its rules name.
type Points struct {
	Addrs     [2][]netip.Addr // IPv4, IPv6; never empty
	Protocols []policy.Protocol
	Ports     []uint16
	ICMP      []uint8 // types and codes
}

// PointsOf collects the points of a model.
func PointsOf(m *policy.Model) *Points {
	p := &Points{
		Protocols: []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.UDPLite, 0, 2, 47, 255},
		Ports:     []uint16{0, 1, 49151, 49152, 60999, 65535},
		ICMP:      []uint8{0, 1, 8, 128, 255},
	}
	for family := range p.Addrs {
		p.Addrs[family] = slices.Clone(baseAddrs[family])
	}
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			p.addr(a)
			p.addr(a.Prev())
			p.addr(a.Next())
		}
		for _, np := range ep.Ports {
			p.port(np.Port)
		}
	}
	for _, n := range m.Nodes {
		for _, a := range n.Addrs {
			p.addr(a)
		}
	}
	for _, s := range m.Sets {
		p.nets(s.Nets)
	}
	for _, pol := range m.Policies {
		for _, dir := range policy.Directions {
			for i := range pol.Rules[dir] {
				p.rule(&pol.Rules[dir][i])
			}
		}
	}
	for family := range p.Addrs {
		slices.SortFunc(p.Addrs[family], netip.Addr.Compare)
		p.Addrs[family] = slices.Compact(p.Addrs[family])
	}
	p.Protocols, p.Ports, p.ICMP = sorted(p.Protocols), sorted(p.Ports), sorted(p.ICMP)
	return p
}

func sorted[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

func (p *Points) addr(a netip.Addr) {
	switch {
	case !a.IsValid():
	case a.Is4():
		p.Addrs[0] = append(p.Addrs[0], a)
	default:
		p.Addrs[1] = append(p.Addrs[1], a)
	}
}

func (p *Points) nets(nets []netip.Prefix) {
	for _, n := range nets {
		first, last := n.Masked().Addr(), LastAddr(n)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			p.addr(a)
		}
	}
}

func (p *Points) port(n uint16) { p.Ports = append(p.Ports, n, n-1, n+1) }

func (p *Points) rule(r *policy.Rule) {
	for _, proto := range []*policy.Protocol{r.Protocol, r.NotProtocol} {
		if proto != nil {
			p.Protocols = append(p.Protocols, *proto, *proto-1, *proto+1)
		}
	}
	for _, m := range []*policy.ICMPMatch{r.ICMP, r.NotICMP} {
		if m == nil {
			continue
		}
		for _, v := range []*uint8{m.Type, m.Code} {
			if v != nil {
				p.ICMP = append(p.ICMP, *v, *v-1, *v+1)
			}
		}
	}
	for _, peer := range []*policy.Peer{&r.Source, &r.Destination} {
		p.nets(peer.Nets)
		p.nets(peer.NotNets)
		for _, ports := range []*policy.Ports{peer.Ports, peer.NotPorts} {
			if ports == nil {
				continue
			}
			for _, rg := range ports.Ranges {
				p.port(rg.First)
				p.port(rg.Last)
			}
		}
	}
}

// LastAddr returns the last address of a net.
func LastAddr(n netip.Prefix) netip.Addr {
	b := n.Masked().Addr().AsSlice()
	for i := n.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Flows draws flows between the points, one end nearly always an endpoint.
func Flows(m *policy.Model) *rapid.Generator[policy.Flow] {
	points := PointsOf(m)
	var held [2][]netip.Addr
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			family := 0
			if !a.Is4() {
				family = 1
			}
			held[family] = append(held[family], a)
		}
	}
	return rapid.Custom(func(t *rapid.T) policy.Flow { return points.flow(t, held) })
}

func (p *Points) flow(t *rapid.T, held [2][]netip.Addr) policy.Flow {
	family := below(t, 2, "family")
	if len(held[family]) == 0 {
		family = 1 - family
	}
	pick := func(label string) netip.Addr {
		if len(held[family]) > 0 && chance(t, 75, label+" is an endpoint") {
			return one(t, held[family], label)
		}
		return one(t, p.Addrs[family], label)
	}
	f := policy.Flow{Src: pick("source"), Dst: pick("destination"), Protocol: one(t, p.Protocols, "protocol")}
	switch {
	case f.Protocol.HasPorts():
		f.SrcPort, f.DstPort = one(t, p.Ports, "source port"), one(t, p.Ports, "destination port")
	case f.Protocol.IsICMP():
		f.ICMPType, f.ICMPCode = one(t, p.ICMP, "type"), one(t, p.ICMP, "code")
	}
	return f
}
