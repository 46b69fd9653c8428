package verify

import (
	"net"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

var (
	everybody  = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	someoneMAC = net.HardwareAddr{0x02, 0x74, 0x77, 0, 0, 1} // nobody's
	// Addresses that are nobody's (RFC 5737, RFC 3849), and link-local ones.
	strangers  = [2]netip.Addr{netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("2001:db8::fffe")}
	neighbours = [2]netip.Addr{netip.MustParseAddr("fe80::7477:1"), netip.MustParseAddr("fe80::7477:2")}
	groups     = [2]netip.Addr{netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("ff02::1")}
	nobody     = [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
)

// discover is what asks for an address by DHCP.
func discover(src netip.Addr) policy.Flow {
	return policy.Flow{Src: src, Dst: everybody, Protocol: policy.UDP, SrcPort: 68, DstPort: 67}
}

// ofLink asks about frames that come by a link, and about such with its addresses that come from
// elsewhere.
func (l *linkVerifier) ofLink(x *link, all []*link) {
	others := l.others(x, all)
	for _, own := range x.Addrs {
		srcs, dsts := l.addresses(x, own, others)
		for _, f := range l.flows(x, own, srcs, dsts) {
			l.everywhere(x, others, f)
		}
		l.variants(x, own, others)
	}
}

// others returns links of other endpoints on the same bridge, or also routed: one that policy governs
// and one that it does not, for each direction, as far as there are.
func (l *linkVerifier) others(x *link, all []*link) []*link {
	var list []*link
	kinds := map[[2]bool]bool{}
	for _, o := range all {
		kind := [2]bool{o.ingress, o.egress}
		if o != x && o.Port == x.Port && o.Bridge == x.Bridge && !kinds[kind] {
			kinds[kind] = true
			list = append(list, o)
		}
	}
	return list
}

// addresses returns what may stand in a frame as its source and its destination.
func (l *linkVerifier) addresses(x *link, own netip.Addr, others []*link) (srcs, dsts []netip.Addr) {
	is6 := policy.FamilyOf(own).Index()
	srcs = []netip.Addr{own, strangers[is6], nobody[is6]}
	dsts = []netip.Addr{strangers[is6], groups[is6]}
	if is6 == 0 {
		dsts = append(dsts, everybody)
	} else {
		srcs, dsts = append(srcs, neighbours[0]), append(dsts, neighbours[1])
	}
	sameFamily := func(a netip.Addr) bool { return a.Is4() == own.Is4() }
	for _, o := range others {
		if i := slices.IndexFunc(o.Addrs, sameFamily); i >= 0 {
			srcs, dsts = append(srcs, o.Addrs[i]), append(dsts, o.Addrs[i])
		}
	}
	for _, p := range x.Sources {
		if sameFamily(p.Addr()) {
			srcs = append(srcs, p.Addr())
		}
	}
	if i := slices.IndexFunc(l.known.NodeAddrs, sameFamily); i >= 0 {
		dsts = append(dsts, l.known.NodeAddrs[i])
	}
	if i := slices.IndexFunc(l.known.OverlayAddrs, sameFamily); i >= 0 {
		dsts = append(dsts, l.known.OverlayAddrs[i])
	}
	for _, p := range l.known.PodNets {
		if sameFamily(p.Addr()) {
			srcs, dsts = append(srcs, p.Addr()), append(dsts, p.Addr())
		}
	}
	return srcs, dsts
}

// flows returns frames of all protocols that guards know, between all these addresses.
func (l *linkVerifier) flows(x *link, own netip.Addr, srcs, dsts []netip.Addr) []dataplane.Frame {
	var list []dataplane.Frame
	typ := uint16(dataplane.EtherIPv4)
	if own.Is6() {
		typ = dataplane.EtherIPv6
	}
	for _, src := range srcs {
		for _, dst := range dsts {
			add := func(f dataplane.Frame) {
				f.Src, f.Dst, f.Type, f.Carries = src, dst, typ, typ
				list = append(list, f)
			}
			for _, f := range l.protocols(own) {
				add(dataplane.Frame{Flow: f})
			}
			for _, t := range errorTypes(own) {
				for _, embedded := range distinct(append(x.sameFamily(own), strangers[policy.FamilyOf(own).Index()], dst, src)) {
					add(dataplane.Frame{Flow: t, Embedded: embedded})
				}
			}
			if own.Is4() {
				continue
			}
			for _, t := range []uint8{135, 136} {
				for _, target := range distinct(append(x.sameFamily(own), strangers[1], neighbours[0], src, dst)) {
					add(dataplane.Frame{Flow: policy.Flow{Protocol: policy.ICMPv6, ICMPType: t}, Target: target})
				}
			}
		}
	}
	return list
}

// sameFamily returns a new list of the link's addresses of the family of one of them.
func (x *link) sameFamily(own netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(x.Addrs), func(a netip.Addr) bool { return a.Is4() != own.Is4() })
}

func distinct(list []netip.Addr) []netip.Addr {
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// protocols returns what may stand in packets of a family, without addresses.
func (l *linkVerifier) protocols(own netip.Addr) []policy.Flow {
	list := []policy.Flow{
		{Protocol: policy.TCP, SrcPort: ephemeralPort, DstPort: 80}, {Protocol: policy.UDP, SrcPort: 68, DstPort: 67},
	}
	for _, t := range []uint8{0x11, 0x12, 0x16, 0x17, 0x22} { // IGMP
		list = append(list, policy.Flow{Protocol: 2, ICMPType: t})
	}
	for _, protocol := range []policy.Protocol{policy.UDP, policy.UDPLite} {
		for _, p := range slices.Concat(dataplane.UsualTunnelPorts, l.known.TunnelPorts, []uint16{ephemeralPort}) {
			list = append(list, policy.Flow{Protocol: protocol, SrcPort: ephemeralPort, DstPort: p})
		}
	}
	for _, p := range dataplane.TunnelProtocols {
		list = append(list, policy.Flow{Protocol: p})
	}
	icmp, types := policy.ICMP, []uint8{0, 5, 8, 9, 10}
	if own.Is6() {
		icmp, types = policy.ICMPv6, []uint8{128, 130, 131, 132, 133, 134, 137, 143}
	}
	for _, t := range types {
		list = append(list, policy.Flow{Protocol: icmp, ICMPType: t})
	}
	return list
}

// errorTypes returns the messages that carry a packet, and a neighbour of each end.
func errorTypes(own netip.Addr) []policy.Flow {
	icmp, types := policy.ICMP, []uint8{2, 3, 4, 6, 11, 12, 13}
	if own.Is6() {
		icmp, types = policy.ICMPv6, []uint8{1, 2, 3, 4, 100, 127, 129}
	}
	var list []policy.Flow
	for _, t := range types {
		list = append(list, policy.Flow{Protocol: icmp, ICMPType: t})
	}
	return list
}

// loopback is the number of lo in every network namespace.
const loopback = 1

// everywhere asks about a frame at the places that it may come to where something could be
// done about it.
func (l *linkVerifier) everywhere(x *link, others []*link, f dataplane.Frame) {
	f.From, f.To = orMAC(x.MAC), someoneMAC
	at := func(h dataplane.LinkHook, in, out int) {
		f.In, f.Out = in, out
		l.ask(h, f)
	}
	if x.Port {
		at(dataplane.BridgePrerouting, x.Index, 0)
		at(dataplane.BridgeInput, x.Index, 0)
		at(dataplane.BridgeForward, 0, x.Index)
		at(dataplane.BridgeForward, x.Index, 0)
		for _, o := range others {
			at(dataplane.BridgeForward, x.Index, o.Index)
		}
	}
	if len(l.ports) > 0 {
		at(dataplane.BridgePrerouting, 0, 0)
	}
	ins := []int{x.Index, 0, loopback}
	if x.Port {
		ins = append(ins, x.Bridge)
	}
	for _, in := range ins {
		at(dataplane.LinkPrerouting, in, 0)
		if f.Embedded.IsValid() {
			continue // nobody's from here on
		}
		at(dataplane.LinkInput, in, 0)
		if in != loopback && !f.Target.IsValid() {
			at(dataplane.LinkForward, in, 0)
		}
	}
}

// variants asks about frames of a port that differ in what is around IP, and about ARP.
func (l *linkVerifier) variants(x *link, own netip.Addr, others []*link) {
	if !x.Port {
		return
	}
	is6 := policy.FamilyOf(own).Index()
	typ := [2]uint16{dataplane.EtherIPv4, dataplane.EtherIPv6}[is6]
	tcp := policy.Flow{Src: own, Dst: strangers[is6], Protocol: policy.TCP, SrcPort: ephemeralPort, DstPort: 80}
	base := dataplane.Frame{Flow: tcp, Type: typ, Carries: typ, From: orMAC(x.MAC), To: someoneMAC, In: x.Index}
	list := []dataplane.Frame{base}
	vary := func(change func(*dataplane.Frame)) {
		f := base
		change(&f)
		list = append(list, f)
	}
	vary(func(f *dataplane.Frame) { f.From = someoneMAC })
	vary(func(f *dataplane.Frame) { f.To = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e} })
	vary(func(f *dataplane.Frame) {
		f.To, f.Src = net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0}, strangers[is6]
	})
	for _, tag := range []uint16{0x8100, 0x88a8, 0x9100} { // VLAN tags of IEEE 802.1Q and 802.1ad, and what was used before
		vary(func(f *dataplane.Frame) { f.Type = tag })
	}
	for _, other := range []uint16{0x0026, 0x8847, 0x8848, 0x8863, 0x8864, 0x88e5, 0x8906} { // LLC, MPLS, PPPoE, MACsec, FCoE
		vary(func(f *dataplane.Frame) { f.Type, f.Carries, f.Flow = other, other, policy.Flow{} })
	}
	for _, told := range []net.HardwareAddr{orMAC(x.MAC), someoneMAC} {
		if is6 == 1 {
			for _, t := range []uint8{135, 136} {
				vary(func(f *dataplane.Frame) {
					f.Flow, f.Target, f.Told = policy.Flow{Src: own, Dst: groups[1], Protocol: policy.ICMPv6, ICMPType: t}, own, told
				})
			}
			continue
		}
		senders := []netip.Addr{own, strangers[0], nobody[0]}
		for _, p := range x.Sources {
			if p.Addr().Is4() {
				senders = append(senders, p.Addr())
			}
		}
		for _, sender := range senders {
			vary(func(f *dataplane.Frame) {
				f.Type, f.Carries, f.Flow, f.Told = dataplane.EtherARP, dataplane.EtherARP, policy.Flow{Src: sender}, told
			})
		}
	}
	for _, f := range list {
		l.ask(dataplane.BridgePrerouting, f)
		l.ask(dataplane.BridgeInput, f)
		for _, o := range others {
			f.Out = o.Index
			l.ask(dataplane.BridgeForward, f)
		}
	}
}

func orMAC(mac net.HardwareAddr) net.HardwareAddr {
	if len(mac) == 0 {
		return someoneMAC
	}
	return mac
}
