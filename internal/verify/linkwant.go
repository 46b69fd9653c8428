package verify

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// What guards must do, by docs/semantics.md: nothing here is derived from how the kernel's
// tables are made.

var (
	pass     = dataplane.LinkOutcome{}
	byPolicy = dataplane.LinkOutcome{Drop: true}
)

// guard returns what a guard does that is on.
func (l *linkVerifier) guard(g dataplane.Guard) dataplane.LinkOutcome {
	if l.settings.Has(g) {
		return dataplane.LinkOutcome{Drop: true, Guard: g}
	}
	return pass
}

// want says what must become of a frame at a place.
func (l *linkVerifier) want(h dataplane.LinkHook, f dataplane.Frame) dataplane.LinkOutcome {
	if f.In == loopback {
		return pass // the host itself
	}
	from, to := l.links[f.In], l.links[f.Out]
	switch h {
	case dataplane.BridgePrerouting:
		if from == nil {
			return l.fromOutside(f)
		}
		return l.fromPort(from, f)
	case dataplane.BridgeInput:
		return l.bridgeToHost(from, f)
	case dataplane.BridgeForward:
		return l.betweenPorts(from, to, f)
	case dataplane.LinkPrerouting:
		if from == nil {
			return l.routedFromOutside(f)
		}
		return l.fromLink(from, f)
	case dataplane.LinkForward:
		return l.first(l.encapsulated(f, false), l.unknown(f))
	}
	if from != nil && from.Port {
		from = nil // the bridge was asked about it
	}
	if from != nil && from.dhcpToNode && isDHCP(f) {
		return byPolicy
	}
	return l.first(l.encapsulated(f, true), l.besideOverlay(f), l.linkLocalToHost(from, f))
}

// first returns the first of what is done that drops.
func (*linkVerifier) first(list ...dataplane.LinkOutcome) dataplane.LinkOutcome {
	for _, o := range list {
		if o.Drop {
			return o
		}
	}
	return pass
}

// has reports whether an address is one of a link's own.
func (x *link) has(a netip.Addr) bool { return slices.Contains(x.Addrs, a) }

// mayBe reports whether a link may send from an address.
func (x *link) mayBe(a netip.Addr) bool {
	return x.has(a) || a.IsValid() && slices.ContainsFunc(x.Sources, func(p netip.Prefix) bool { return p.Contains(a) })
}

func isLinkLocal(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

func isIP(f dataplane.Frame) bool {
	return f.Carries == dataplane.EtherIPv4 || f.Carries == dataplane.EtherIPv6
}

// fromPort says what becomes of what a port sends.
func (l *linkVerifier) fromPort(x *link, f dataplane.Frame) dataplane.LinkOutcome {
	known := []uint16{dataplane.EtherIPv4, dataplane.EtherIPv6, dataplane.EtherARP}
	if !slices.Contains(known, f.Type) {
		if o := l.guard(dataplane.GuardFrame); o.Drop || !slices.Contains(known, f.Carries) {
			return o
		}
	}
	if len(x.MAC) > 0 && (string(f.From) != string(x.MAC) || len(f.Told) > 0 && string(f.Told) != string(x.MAC)) {
		if o := l.guard(dataplane.GuardMAC); o.Drop {
			return o
		}
	}
	if f.Carries == dataplane.EtherARP {
		if f.Src == netip.IPv4Unspecified() || x.mayBe(f.Src) {
			return pass
		}
		return l.guard(dataplane.GuardSource)
	}
	advert := f.Protocol == policy.ICMPv6 && f.ICMPType == 136
	probe := f.Protocol == policy.ICMPv6 && f.ICMPType == 135 && f.Src == netip.IPv6Unspecified()
	if (advert || probe) && !isLinkLocal(f.Target) && !x.mayBe(f.Target) {
		return l.guard(dataplane.GuardSource)
	}
	switch {
	case withoutAddress(f):
		return pass
	case !isLinkLocal(f.Src) && !x.mayBe(f.Src):
		return l.guard(dataplane.GuardSource)
	}
	return l.first(l.router(f), l.icmpError(f, x.mayBe(f.Embedded)))
}

// fromOutside says what becomes of what enters a bridge by a port that is no local endpoint's.
func (l *linkVerifier) fromOutside(f dataplane.Frame) dataplane.LinkOutcome {
	if isIP(f) && l.ports[f.Src] {
		return l.guard(dataplane.GuardUplinkSource)
	}
	return pass
}

// fromLink says what becomes of IP that enters by a link, before connection tracking.
func (l *linkVerifier) fromLink(x *link, f dataplane.Frame) dataplane.LinkOutcome {
	switch {
	case x.Port: // IP comes from the bridge
		return l.guard(dataplane.GuardSource)
	case withoutAddress(f):
		return pass
	case !isLinkLocal(f.Src) && !x.mayBe(f.Src):
		return l.guard(dataplane.GuardSource)
	}
	// Of several addresses it is the one that the packet was for that answers with an error.
	return l.first(l.router(f), l.icmpError(f, x.mayBe(f.Embedded)))
}

// routedFromOutside says what becomes of IP that enters by an interface that is no local
// endpoint's: an uplink, or the bridge of its port.
func (l *linkVerifier) routedFromOutside(f dataplane.Frame) dataplane.LinkOutcome {
	x := l.bound[f.Src]
	behind := x != nil && x.Port && x.Bridge == f.In && f.In != 0
	if x != nil && !behind {
		if o := l.guard(dataplane.GuardUplinkSource); o.Drop {
			return o
		}
	}
	if _, local := l.Tables.Local(f.Src); !local {
		return pass
	}
	vouched := x != nil && x.Port && len(x.Sources) > 0
	return l.first(l.router(f), l.icmpError(f, vouched || f.Embedded == f.Src))
}

// withoutAddress reports whether a packet is of a host that has no address yet.
func withoutAddress(f dataplane.Frame) bool {
	if f.Src == netip.IPv4Unspecified() {
		return isDHCP(f)
	}
	return f.Src == netip.IPv6Unspecified() && f.Protocol == policy.ICMPv6 && slices.Contains([]uint8{131, 132, 133, 135, 143}, f.ICMPType)
}

// isDHCP reports whether a packet asks for an address.
func isDHCP(f dataplane.Frame) bool { return f.Flow == discover(netip.IPv4Unspecified()) }

// router says what becomes of those who say that they are routers.
func (l *linkVerifier) router(f dataplane.Frame) dataplane.LinkOutcome {
	switch {
	case f.Protocol == policy.ICMP && f.Src.Is4() && (f.ICMPType == 5 || f.ICMPType == 9),
		f.Protocol == policy.ICMPv6 && f.Src.Is6() && (f.ICMPType == 134 || f.ICMPType == 137):
		return l.guard(dataplane.GuardRouter)
	}
	return pass
}

// icmpError says what becomes of errors about connections of others.
func (l *linkVerifier) icmpError(f dataplane.Frame, own bool) dataplane.LinkOutcome {
	is := f.Protocol == policy.ICMP && f.Src.Is4() && slices.Contains([]uint8{3, 4, 11, 12}, f.ICMPType) ||
		f.Protocol == policy.ICMPv6 && f.Src.Is6() && f.ICMPType < 128
	if !is || own || isLinkLocal(f.Src) && isLinkLocal(f.Embedded) {
		return pass
	}
	return l.guard(dataplane.GuardICMPError)
}

// isControl reports whether policy never judges a frame.
func isControl(f dataplane.Frame) bool { return isIP(f) && f.IsControlTraffic() }

// betweenPorts says what becomes of what goes from one port of a bridge to another.
func (l *linkVerifier) betweenPorts(from, to *link, f dataplane.Frame) dataplane.LinkOutcome {
	if to != nil && !isIP(f) && f.Type != dataplane.EtherARP || to != nil && f.Type != f.Carries {
		if o := l.guard(dataplane.GuardFrame); o.Drop {
			return o
		}
	}
	if !isIP(f) || isControl(f) {
		return pass
	}
	if advert := f.Protocol == policy.ICMPv6 && f.ICMPType == 134; to != nil && to.ingress && !advert {
		if o := l.delivered(to, f); o.Drop {
			return o
		}
	}
	if from == nil {
		return pass
	}
	if from.egress && (isLinkLocal(f.Src) || isLinkLocal(f.Dst)) {
		if o := l.guard(dataplane.GuardLinkLocal); o.Drop {
			return o
		}
	}
	if from.dhcp && isDHCP(f) {
		return byPolicy
	}
	if from.egress && to != nil && !f.Dst.IsMulticast() && f.Dst != everybody && !l.sources {
		return l.delivered(to, f)
	}
	return pass
}

// delivered says what becomes of what arrives at a port that policy says something about.
func (l *linkVerifier) delivered(to *link, f dataplane.Frame) dataplane.LinkOutcome {
	switch {
	case to.has(f.Dst):
		return pass
	case isLinkLocal(f.Dst):
		return l.guard(dataplane.GuardLinkLocal)
	}
	return l.guard(dataplane.GuardDestination)
}

// bridgeToHost says what becomes of what a bridge hands to its host.
func (l *linkVerifier) bridgeToHost(from *link, f dataplane.Frame) dataplane.LinkOutcome {
	if from == nil {
		return pass
	}
	if isReserved(f) {
		if o := l.fromPort(from, f); o.Drop {
			return o
		}
	}
	if from.dhcpToNode && isDHCP(f) {
		return byPolicy
	}
	return l.linkLocalToHost(from, f)
}

// isReserved reports whether a frame goes to a group that bridges keep to themselves.
func isReserved(f dataplane.Frame) bool {
	return len(f.To) == 6 && string(f.To[:5]) == "\x01\x80\xc2\x00\x00" && f.To[5] < 16
}

// linkLocalToHost says what becomes of what a link's endpoint sends to the host from an address
// that policy does not know.
func (l *linkVerifier) linkLocalToHost(from *link, f dataplane.Frame) dataplane.LinkOutcome {
	closed := from != nil && (l.toHost == policy.Deny || from.toNode)
	if !closed || !isIP(f) || !isLinkLocal(f.Src) || isControl(f) {
		return pass
	}
	return l.guard(dataplane.GuardLinkLocal)
}

// encapsulated says what becomes of packets within packets of local endpoints.
func (l *linkVerifier) encapsulated(f dataplane.Frame, toHost bool) dataplane.LinkOutcome {
	udp := f.Protocol == policy.UDP || f.Protocol == policy.UDPLite
	if !(udp && l.tunnels[f.DstPort]) && !slices.Contains(dataplane.TunnelProtocols, f.Protocol) {
		return pass
	}
	unpacks := toHost || l.settings.Encapsulation == dataplane.EncapsulationAll || l.nodes[f.Dst] || f.Dst.IsMulticast() || f.Dst == everybody
	if !unpacks || !l.fromEndpoint(f) {
		return pass
	}
	return l.guard(dataplane.GuardEncapsulation)
}

// besideOverlay says what becomes of packets of the host's overlay at an address that is not its end.
func (l *linkVerifier) besideOverlay(f dataplane.Frame) dataplane.LinkOutcome {
	udp := f.Protocol == policy.UDP || f.Protocol == policy.UDPLite
	if !(udp && slices.Contains(l.known.OverlayPorts, f.DstPort)) && !slices.Contains(l.known.OverlayProtocols, f.Protocol) || slices.Contains(l.known.OverlayAddrs, f.Dst) {
		return pass
	}
	return l.guard(dataplane.GuardOverlay)
}

// fromEndpoint reports whether a packet comes from a local endpoint, by its link or its source.
func (l *linkVerifier) fromEndpoint(f dataplane.Frame) bool {
	if _, local := l.Tables.Local(f.Src); local || l.links[f.In] != nil {
		return true
	}
	return isLinkLocal(f.Src) && l.neighbours[f.In]
}

// unknown says what becomes of addresses in the node's own networks that are no endpoint's.
func (l *linkVerifier) unknown(f dataplane.Frame) dataplane.LinkOutcome {
	for _, p := range l.known.PodNets {
		for _, a := range []netip.Addr{f.Src, f.Dst} {
			if _, local := l.Tables.Local(a); p.Contains(a) && !local {
				return dataplane.LinkOutcome{Drop: true, Guard: dataplane.GuardUnknown}
			}
		}
	}
	return pass
}
