package hostlink

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Routes and what bridges forward are the tables of a host that may be long, and are read again and
// again. So they are decoded here, message by message, and only what is asked of them:
// a list of the library's routes takes four times as long, and lacks where lightweight tunnels end.

// dump asks the kernel for all entries of a kind, and calls each with every message.
func (f *Finder) dump(request uint16, header nl.NetlinkRequestData, each func(message []byte)) error {
	req := nl.NewNetlinkRequest(int(request), unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: f.socket}
	req.AddData(header)
	err := req.ExecuteIter(unix.NETLINK_ROUTE, 0, func(m []byte) bool {
		each(m)
		return true
	})
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil // something has changed meanwhile, which is notified
	}
	return err
}

// attributes calls each with every attribute of a message. Nested ones have no flag.
func attributes(b []byte, each func(typ uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:size])
		b = b[min(len(b), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
}

func number(value []byte) int {
	if len(value) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(value))
}

// addrOf returns the address that an attribute is; the zero Addr if it is none.
func addrOf(value []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(value)
	return a.Unmap()
}

// route is what is asked of a route.
type route struct {
	family, kind, protocol uint8 // AF_INET; RTN_UNICAST; RTPROT_KERNEL
	table                  int
	to                     netip.Prefix
	hops                   []hop // several of a multipath route; valid until the next route is read
}

// hop is where a route leads to.
type hop struct {
	link    int
	gateway netip.Addr // zero: there is none, or it is of the other family
	via     bool       // there is one of the other family
	// end is where a lightweight tunnel ends that packets are put in; zero: there is none.
	end netip.Addr
}

// eachRoute calls each with every route of a family, of all tables.
func (f *Finder) eachRoute(family uint8, each func(*route)) error {
	var r route
	return f.dump(unix.RTM_GETROUTE, &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}, func(m []byte) {
		if r.read(m) && r.family == family {
			each(&r)
		}
	})
}

// read reads a route, and reports whether it is one to be asked about: not one of a cache, of MPLS, or to IPv4 within IPv6.
func (r *route) read(m []byte) bool {
	if len(m) < unix.SizeofRtMsg || binary.NativeEndian.Uint32(m[8:])&unix.RTM_F_CLONED != 0 {
		return false
	}
	*r = route{family: m[0], table: int(m[4]), protocol: m[5], kind: m[7], hops: append(r.hops[:0], hop{})}
	to := netip.IPv4Unspecified()
	if r.family == unix.AF_INET6 {
		to = netip.IPv6Unspecified()
	}
	first, valid := &r.hops[0], true
	encap := lwtunnel{}
	var paths []byte
	attributes(m[unix.SizeofRtMsg:], func(typ uint16, value []byte) {
		switch typ {
		case unix.RTA_DST:
			to, valid = netip.AddrFromSlice(value)
			valid = valid && !to.Is4In6()
		case unix.RTA_TABLE:
			r.table = number(value)
		case unix.RTA_MULTIPATH:
			paths = value
		default:
			first.read(typ, value, &encap)
		}
	})
	first.end = encap.end()
	r.readPaths(paths)
	r.to = netip.PrefixFrom(to, int(m[1]))
	return valid && r.to.IsValid() && (r.family == unix.AF_INET || r.family == unix.AF_INET6)
}

// readPaths reads the further hops of a multipath route.
func (r *route) readPaths(b []byte) {
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return
		}
		h, encap := hop{link: number(b[4:])}, lwtunnel{}
		attributes(b[unix.SizeofRtNexthop:size], func(typ uint16, value []byte) { h.read(typ, value, &encap) })
		h.end = encap.end()
		r.hops = append(r.hops, h)
		b = b[min(len(b), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
}

// read reads an attribute.
func (h *hop) read(typ uint16, value []byte, encap *lwtunnel) {
	switch typ {
	case unix.RTA_OIF:
		h.link = number(value)
	case unix.RTA_GATEWAY:
		h.gateway = addrOf(value)
	case unix.RTA_VIA:
		h.via = true
	case unix.RTA_ENCAP_TYPE:
		if len(value) >= 2 {
			encap.typ = binary.NativeEndian.Uint16(value)
		}
	case unix.RTA_ENCAP:
		encap.body = value
	}
}

// lwtunnel is how a route has packets packed up.
type lwtunnel struct {
	typ  uint16
	body []byte
}

// end returns where the tunnel ends, if it is one of IP.
func (t lwtunnel) end() (end netip.Addr) {
	const dst = 2 // LWTUNNEL_IP_DST, LWTUNNEL_IP6_DST
	if t.typ != nl.LWTUNNEL_ENCAP_IP && t.typ != nl.LWTUNNEL_ENCAP_IP6 {
		return netip.Addr{}
	}
	attributes(t.body, func(typ uint16, value []byte) {
		if typ == dst {
			end = addrOf(value)
		}
	})
	return end
}

// forward is an entry of a forwarding table: where frames to a hardware address go. It is valid until the next one is read.
type forward struct {
	link  int // the port of a bridge, or the VXLAN interface
	state uint16
	flags uint8
	mac   net.HardwareAddr
	// bridge is that of the port; 0: the interface has the entry itself.
	bridge int
	// end is to whom a VXLAN interface sends such frames; zero of others.
	end netip.Addr
}

// sizeofNdMsg is the size of struct ndmsg, which begins an entry.
const sizeofNdMsg = 12

// eachForward calls each with every entry of all bridges and VXLAN interfaces.
func (f *Finder) eachForward(each func(*forward)) error {
	var e forward
	return f.dump(unix.RTM_GETNEIGH, &netlink.Ndmsg{Family: unix.AF_BRIDGE}, func(m []byte) {
		if e.read(m) {
			each(&e)
		}
	})
}

// read reads an entry; false if the message is of something else.
func (e *forward) read(m []byte) bool {
	if len(m) < sizeofNdMsg || m[0] != unix.AF_BRIDGE {
		return false
	}
	*e = forward{link: number(m[4:]), state: binary.NativeEndian.Uint16(m[8:]), flags: m[10]}
	attributes(m[sizeofNdMsg:], func(typ uint16, value []byte) {
		switch typ {
		case unix.NDA_DST:
			e.end = addrOf(value)
		case unix.NDA_LLADDR:
			e.mac = value
		case unix.NDA_MASTER:
			e.bridge = number(value)
		}
	})
	return true
}

// isLearned reports whether packets made the entry, and no administrator or routing daemon.
func (e *forward) isLearned() bool {
	return e.state&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0 && e.flags&unix.NTF_EXT_LEARNED == 0
}
