package hostlink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// Tunnel is an interface of the host that unpacks what arrives in a protocol, or at a
// UDP port, from whoever sends it. WireGuard and IPsec know who sent a packet and are
// none. An interface that takes several protocols is there once for each.
type Tunnel struct {
	// Name is that of the interface; "fou" for a port at which the kernel unpacks for
	// interfaces of other kinds (FOU and GUE), which has Index 0.
	Name  string
	Index int
	// Protocol is that of the outer packet, and Port its UDP port; 0 for others.
	Protocol policy.Protocol
	Port     uint16
}

// The protocols of packets in packets that policy has no names for.
const (
	ipInIP  policy.Protocol = 4
	ip6InIP policy.Protocol = 41
	gre     policy.Protocol = 47
)

// gtpPort is where GTP packs in the traffic of users, by its standard.
const gtpPort = 2152

// tunnels returns the host's tunnels, ordered by name.
func (s *search) tunnels() ([]Tunnel, error) {
	list, err := s.fouPorts()
	if err != nil {
		return nil, err
	}
	for _, l := range s.links {
		list = append(list, tunnelsOf(l)...)
	}
	slices.SortFunc(list, func(a, b Tunnel) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(list), nil
}

// tunnelsOf returns what an interface unpacks.
func tunnelsOf(l netlink.Link) []Tunnel {
	of := Tunnel{Name: l.Attrs().Name, Index: l.Attrs().Index}
	udp := func(port int) []Tunnel {
		of.Protocol, of.Port = policy.UDP, uint16(port) //nolint:gosec // the kernel's are of 16 bits
		return []Tunnel{of}
	}
	// in returns the tunnels for protocols, and for the port that they may be packed into.
	in := func(encap, port uint16, protocols ...policy.Protocol) []Tunnel {
		var list []Tunnel
		for _, p := range protocols {
			of.Protocol = p
			list = append(list, of)
		}
		if encap != 0 {
			list = append(list, udp(int(port))...)
		}
		return list
	}
	switch t := l.(type) {
	case *netlink.Vxlan:
		return udp(t.Port)
	case *netlink.Geneve:
		return udp(int(t.Dport))
	case *netlink.BareUDP:
		return udp(int(t.Port))
	case *netlink.GTP:
		return udp(gtpPort)
	case *netlink.Iptun:
		return in(t.EncapType, t.EncapDport, inner(t.Proto)...)
	case *netlink.Sittun:
		return in(t.EncapType, t.EncapDport, inner(t.Proto)...)
	case *netlink.Ip6tnl:
		return in(t.EncapType, t.EncapDport, inner(t.Proto)...)
	case *netlink.Gretun:
		return in(t.EncapType, t.EncapDport, gre)
	case *netlink.Gretap:
		return in(t.EncapType, t.EncapDport, gre)
	}
	switch l.Type() {
	case "ip6gretap", "erspan", "ip6erspan": // those that the library has no fields for
		return in(0, 0, gre)
	}
	return nil
}

// isOverlay reports whether an interface leads to other hosts by packets within packets, those that know who
// sent a packet and those of programs (TUN) included.
func isOverlay(l netlink.Link) bool {
	switch t := l.(type) {
	case *netlink.Wireguard:
		return true
	case *netlink.Tuntap:
		return t.Mode == netlink.TUNTAP_MODE_TUN
	}
	return l.Type() == "ipsec" || l.Type() == "xfrm" || len(tunnelsOf(l)) > 0
}

// inner returns the protocols that a tunnel of IP in IP takes; 0 is all.
func inner(proto uint8) []policy.Protocol {
	if proto == 0 {
		return []policy.Protocol{ipInIP, ip6InIP}
	}
	return []policy.Protocol{policy.Protocol(proto)}
}

// UDPPorts returns the UDP ports of tunnels, in order.
func UDPPorts(tunnels []Tunnel) []uint16 {
	var ports []uint16
	for _, t := range tunnels {
		if t.Protocol == policy.UDP && t.Port != 0 {
			ports = append(ports, t.Port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// fouPorts returns the UDP ports at which the kernel unpacks.
func (s *search) fouPorts() ([]Tunnel, error) {
	var list []Tunnel
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		ports, err := s.handle.FouList(family)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EPERM):
			return nil, nil // there are none: the module is not there, or root of a user namespace, who cannot make any, asks
		case err != nil && !errors.Is(err, netlink.ErrDumpInterrupted):
			return nil, fmt.Errorf("list FOU ports: %w", err)
		}
		for _, p := range ports {
			list = append(list, Tunnel{Name: "fou", Protocol: policy.UDP, Port: uint16(p.Port)}) //nolint:gosec // of 16 bits
		}
	}
	return list, nil
}
