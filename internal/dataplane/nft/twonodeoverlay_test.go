package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
)

// overlay is how packets of pods travel between nodes within others.
type overlay interface {
	name() string
	// join gives a node the way to the pods of another.
	join(n *twoNodes, from, to *guardLab)
	// takes reports whether packets of a family have others in them.
	takes(family int) bool
	// pack returns what unpacks at a node, at any of its addresses, into a packet.
	pack(outer [2]netip.Addr, to *guardLab, packet []byte) []byte
}

// The overlays that are tried; nil is none. That by hand is what kernels without IPIP can have
// as well: a process packs packets in and out.
var (
	realOverlays = []overlay{vxlan{8472}, vxlan{8999}, ipip{}, &byHand{}}
	everyOverlay = append([]overlay{nil}, realOverlays...)
	fewOverlays  = []overlay{nil, vxlan{8472}}
)

// skipUnless skips a test where the kernel has no such interfaces.
func skipUnless(n *twoNodes, kind string, err error) {
	n.Helper()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		n.Skipf("SKIPPED, NOTHING TESTED over this overlay: this kernel makes no interfaces of kind %s: %v", kind, err)
	}
	n.must(err)
}

// vxlan is an overlay as Flannel and Calico make it, at a port: one interface for each family.
type vxlan struct{ port uint16 }

func (v vxlan) name() string { return fmt.Sprintf("VXLAN at %d", v.port) }

// vtepMAC is the hardware address of the overlay interface of a node.
func vtepMAC(g *guardLab, family int) net.HardwareAddr {
	return net.HardwareAddr{2, 0, 0, 0, byte(4 + 2*family), g.digit()[0] - '0'}
}

const vni = 7

func (v vxlan) join(n *twoNodes, from, to *guardLab) {
	n.Helper()
	for family := range familyDigit {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr, attrs.MTU = "vx"+familyDigit[family], vtepMAC(from, family), 1500-[2]int{50, 70}[family]
		skipUnless(n, "vxlan", routesOf(from.node, func(nl *netlink.Handle) error {
			return nl.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: vni, SrcAddr: addrOf(from.node, family).AsSlice(), Port: int(v.port)})
		}))
		n.must(addAddr(from.node, attrs.Name, from.overlayAddrs()[family]))
		n.must(routesOf(from.node, func(nl *netlink.Handle) error {
			l, err := nl.LinkByName(attrs.Name)
			if err != nil {
				return err
			}
			at, gateway, mac := l.Attrs().Index, to.overlayAddrs()[family], vtepMAC(to, family)
			return errors.Join(
				nl.LinkSetUp(l),
				nl.NeighSet(&netlink.Neigh{LinkIndex: at, State: netlink.NUD_PERMANENT, IP: gateway.AsSlice(), HardwareAddr: mac}),
				nl.NeighSet(&netlink.Neigh{
					LinkIndex: at, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF, IP: addrOf(to.node, family).AsSlice(), HardwareAddr: mac,
				}),
				nl.RouteReplace(&netlink.Route{LinkIndex: at, Dst: ipNet(netip.PrefixFrom(gateway, gateway.BitLen()))}),
				nl.RouteReplace(&netlink.Route{LinkIndex: at, Dst: ipNet(to.podNets()[family]), Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}),
			)
		}))
	}
}

func (vxlan) takes(int) bool { return true }

func (v vxlan) pack(outer [2]netip.Addr, to *guardLab, packet []byte) []byte {
	return packVXLAN(outer, v.port, vtepMAC(to, familyOf(outer[1])), packet)
}

// packVXLAN packs a packet for an overlay interface.
func packVXLAN(outer [2]netip.Addr, port uint16, to net.HardwareAddr, packet []byte) []byte {
	head := string([]byte{8, 0, 0, 0, 0, 0, vni, 0}) + string(to) + "\x02\x00\x00\x00\x00\x99"
	typ := uint16(lab.EtherIPv4)
	if packet[0]>>4 == 6 {
		typ = lab.EtherIPv6
	}
	head += string(binary.BigEndian.AppendUint16(nil, typ))
	return lab.UDPPacket(netip.AddrPortFrom(outer[0], 4000), netip.AddrPortFrom(outer[1], port), head+string(packet))
}

// ipip is an overlay of IP in IP, as Calico makes it, which takes packets from everybody. IPv6
// goes in IPv4 as well.
type ipip struct{}

func (ipip) name() string { return "IP in IP" }

func (ipip) join(n *twoNodes, from, to *guardLab) {
	n.Helper()
	local, remote := from.node.Addr4().AsSlice(), to.node.Addr4().AsSlice()
	for family := range familyDigit {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "ip" + familyDigit[family]
		var l netlink.Link = &netlink.Iptun{LinkAttrs: attrs, Local: local}
		route := netlink.Route{Dst: ipNet(to.podNets()[family]), Gw: remote, Flags: int(netlink.FLAG_ONLINK)}
		if family == 1 {
			l, route.Gw, route.Flags = &netlink.Sittun{LinkAttrs: attrs, Local: local, Remote: remote}, nil, 0
		}
		skipUnless(n, l.Type(), routesOf(from.node, func(nl *netlink.Handle) error { return nl.LinkAdd(l) }))
		n.must(addAddr(from.node, attrs.Name, from.overlayAddrs()[family]))
		n.must(joinTunnel(from, to, attrs.Name, family, route))
	}
}

func (ipip) takes(family int) bool { return family == 0 }

func (ipip) pack(outer [2]netip.Addr, _ *guardLab, packet []byte) []byte {
	return packIP(outer, packet)
}

// packIP packs a packet into another.
func packIP(outer [2]netip.Addr, packet []byte) []byte {
	protocol := byte(4)
	if packet[0]>>4 == 6 {
		protocol = 41
	}
	return lab.Packet(outer[0], outer[1], protocol, packet)
}

// joinTunnel routes what is for another node's pods and overlay address to an interface.
func joinTunnel(from, to *guardLab, name string, family int, route netlink.Route) error {
	return routesOf(from.node, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		if err := errors.Join(nl.LinkSetMTU(l, 1480), nl.LinkSetUp(l)); err != nil {
			return err
		}
		route.LinkIndex = l.Attrs().Index
		own := route
		own.Dst = ipNet(netip.PrefixFrom(to.overlayAddrs()[family], to.overlayAddrs()[family].BitLen()))
		return errors.Join(nl.RouteReplace(&route), nl.RouteReplace(&own))
	})
}

// byHand is IP in IP, packed in and out by a process with a TUN interface.
type byHand struct{}

func (*byHand) name() string { return "IP in IP by hand" }

func (*byHand) takes(family int) bool { return family == 0 }

func (*byHand) pack(outer [2]netip.Addr, _ *guardLab, packet []byte) []byte {
	return packIP(outer, packet)
}

func (*byHand) join(n *twoNodes, from, to *guardLab) {
	n.Helper()
	tun := openTUN(n, from.node)
	outer := [2]netip.Addr{from.node.Addr4(), to.node.Addr4()}
	for family := range familyDigit {
		n.must(addAddr(from.node, tunName, from.overlayAddrs()[family]))
		n.must(joinTunnel(from, to, tunName, family, netlink.Route{Dst: ipNet(to.podNets()[family])}))
		protocol := [2]string{"4", "41"}[family]
		socket, err := from.node.ListenPacket("ip4:"+protocol, "0.0.0.0")
		n.must(err)
		n.Cleanup(func() { _ = socket.Close() })
		go func() { // out of what arrives: such sockets leave the header out
			b := make([]byte, 65536)
			for {
				size, _, err := socket.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = tun.Write(b[:size])
			}
		}()
	}
	go func() { // in
		b := make([]byte, 65536)
		for {
			size, err := tun.Read(b)
			if err != nil {
				return
			}
			_ = from.node.SendPackets(packIP(outer, b[:size]))
		}
	}()
}

const tunName = "tun0"

// openTUN makes an interface whose packets a process has.
func openTUN(n *twoNodes, h *lab.Host) *os.File {
	n.Helper()
	var file *os.File
	err := h.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(tunName)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := errors.Join(unix.IoctlIfreq(fd, unix.TUNSETIFF, request), unix.SetNonblock(fd, true)); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), tunName)
		return nil
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		n.Skipf("SKIPPED, NOTHING TESTED over this overlay: no TUN interfaces: %v", err)
	}
	n.must(err)
	n.Cleanup(func() { _ = file.Close() })
	return file
}
