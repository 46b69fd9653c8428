package hostlink

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/policy"
)

// Overlay is how packets of overlays come to this host: in which forms, and at which of its addresses. Others
// that it has are no end of theirs, although the kernel unpacks there as well.
type Overlay struct {
	Ports     []uint16          // of UDP, in order
	Protocols []policy.Protocol // in order
	Addrs     []netip.Addr      // in order; groups are among them
}

// form is one way in which packets are in packets.
type form struct {
	protocol policy.Protocol
	port     uint16
}

// overlay returns the forms of which it is known at which addresses they come: those whose interfaces all send
// from one that is set. Of interfaces that take their ends from elsewhere (external, FOU) it is not known.
func (s *search) overlay(tunnels []Tunnel) (o Overlay) {
	forms := map[form][]netip.Addr{}
	for _, t := range tunnels {
		f, l := form{t.Protocol, t.Port}, s.links[t.Index]
		if l != nil && l.Attrs().Flags&net.FlagUp == 0 {
			continue // it takes nothing; kernels make some of these by themselves
		}
		local := localOf(l)
		if known, found := forms[f]; !local.IsValid() || found && known == nil {
			forms[f] = nil
			continue
		}
		forms[f] = append(forms[f], local)
		if group := groupOf(l); group.IsValid() {
			forms[f] = append(forms[f], group)
		}
	}
	for f, addrs := range forms {
		switch {
		case addrs == nil:
			continue
		case f.protocol == policy.UDP:
			o.Ports = append(o.Ports, f.port)
		default:
			o.Protocols = append(o.Protocols, f.protocol)
		}
		o.Addrs = append(o.Addrs, addrs...)
	}
	slices.Sort(o.Ports)
	slices.Sort(o.Protocols)
	o.Addrs = sortedAddrs(o.Addrs)
	return o
}

// localOf returns the address from which an interface sends; the zero Addr if none is set, or each packet may have
// another.
func localOf(l netlink.Link) netip.Addr {
	var local net.IP
	flowBased := false
	switch t := l.(type) {
	case *netlink.Vxlan:
		local, flowBased = t.SrcAddr, t.FlowBased
	case *netlink.Iptun:
		local, flowBased = t.Local, t.FlowBased
	case *netlink.Ip6tnl:
		local, flowBased = t.Local, t.FlowBased
	case *netlink.Gretun:
		local, flowBased = t.Local, t.FlowBased
	case *netlink.Gretap:
		local, flowBased = t.Local, t.FlowBased
	case *netlink.Sittun:
		local = t.Local
	}
	a, ok := netip.AddrFromSlice(local)
	if a = a.Unmap(); !ok || flowBased || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// groupOf returns the group that an interface listens to; the zero Addr if there is none.
func groupOf(l netlink.Link) netip.Addr {
	if a := remoteOf(l); a.IsMulticast() {
		return a
	}
	return netip.Addr{}
}
