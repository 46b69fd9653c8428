package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// strangeFrames are forms in which a packet may be sent that a receiver may read as one,
// and the rules for IP do not see.
func strangeFrames(dst net.HardwareAddr, packet []byte) map[string]lab.Frame {
	ip := lab.IPFrame(dst, packet)
	tagged := func(tags ...lab.Tag) lab.Frame {
		f := ip
		f.Tags = tags
		return f
	}
	typed := func(typ uint16, head ...byte) lab.Frame {
		return lab.Frame{Dst: dst, Type: typ, Payload: append(head, packet...)}
	}
	pppProtocol := []byte{0, 0x21}
	if ip.Type == lab.EtherIPv6 {
		pppProtocol = []byte{0, 0x57}
	}
	snap := append([]byte{0xaa, 0xaa, 3, 0, 0, 0}, binary.BigEndian.AppendUint16(nil, ip.Type)...)
	pppoe := append([]byte{0x11, 0, 0, 1}, binary.BigEndian.AppendUint16(nil, uint16(len(packet)+2))...)
	return map[string]lab.Frame{
		"802.1Q, VID 0":                   tagged(lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q, VID 0, priority 5":       tagged(lab.Tag{Type: lab.EtherVLAN, ID: 5 << 13}),
		"802.1Q, VID 1":                   tagged(lab.Tag{Type: lab.EtherVLAN, ID: 1}),
		"802.1Q, VID 7":                   tagged(lab.Tag{Type: lab.EtherVLAN, ID: 7}),
		"802.1ad, VID 0":                  tagged(lab.Tag{Type: lab.EtherQinQ}),
		"802.1ad, VID 7":                  tagged(lab.Tag{Type: lab.EtherQinQ, ID: 7}),
		"802.1ad in 802.1Q, VIDs 0":       tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherQinQ}),
		"802.1Q in 802.1ad, VIDs 0":       tagged(lab.Tag{Type: lab.EtherQinQ}, lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q twice, VIDs 0":            tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q three times, VIDs 0":      tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q, VID 0, then 7":           tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherVLAN, ID: 7}),
		"old QinQ, VIDs 0":                tagged(lab.Tag{Type: 0x9100}, lab.Tag{Type: lab.EtherVLAN}),
		"PPPoE":                           typed(0x8864, append(pppoe, pppProtocol...)...),
		"MPLS":                            typed(0x8847, 0, 0, 1, 64),
		"802.2 LLC":                       typed(uint16(len(packet)+3), 0x06, 0x06, 3),
		"802.2 SNAP":                      typed(uint16(len(packet)+len(snap)), snap...),
		"802.2 SNAP in 802.1Q":            {Dst: dst, Tags: []lab.Tag{{Type: lab.EtherVLAN}}, Type: uint16(len(packet) + len(snap)), Payload: append(snap, packet...)},
		"length 0":                        typed(0),
		"loopback":                        typed(0x9000, 0, 0, 1, 0),
		"a type that is nobody's":         typed(0x88b5),
		"MAC in MAC":                      typed(0x88e7, append([]byte{0, 0, 0, 1}, append(append([]byte{}, dst...), dst...)...)...),
		"transparent Ethernet bridging":   typed(0x6558, append(append(append([]byte{}, dst...), dst...), binary.BigEndian.AppendUint16(nil, ip.Type)...)...),
		"network service header":          typed(0x894f, 0, 0, 0, 0, 0, 0, 0, 0),
		"IP type, in 802.1ad of priority": tagged(lab.Tag{Type: lab.EtherQinQ, ID: 7 << 13}),
	}
}

// TestStrangeFrames sends packets in frames that the rules for IP do not see, between ports
// of a bridge: they end at the port, in whatever direction, whoever sends them.
func TestStrangeFrames(t *testing.T) {
	g := newGuardLab(t, true, nil)
	g.policies(governs("pod == 'b'", []policy.Direction{policy.Ingress}, allowTo(policy.UDP, markerPort)))
	for family := range 2 {
		src, dst := addrOf(g.a, family), addrOf(g.b, family)
		marker := func(text string) lab.Frame {
			return lab.IPFrame(g.mac[g.b], lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, markerPort), text))
		}
		packet := func(text string) []byte {
			return lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 9999), text)
		}
		for name := range strangeFrames(g.mac[g.b], packet("")) {
			for _, to := range []net.HardwareAddr{g.mac[g.b], nil} {
				text := fmt.Sprintf("in %s to %v, family %d.", name, to, family)
				f := strangeFrames(g.mac[g.b], packet(text))[name]
				f.Dst = to
				if g.arrives(g.b, text, func(m string) error { return g.a.SendFrames(f, marker(m)) }) {
					g.Errorf("%s arrives", text)
				}
				g.wants(dataplane.GuardFrame, 1)
			}
		}
	}
	// The same from a port that is no endpoint's, an uplink that is in the bridge.
	known := g.known
	known.Links = known.Links[1:]
	g.knows(known)
	n := uint64(0)
	for name := range strangeFrames(g.mac[g.b], []byte{0x45}) {
		text := "from the uplink: " + name + "."
		f := strangeFrames(g.mac[g.b], lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.b.Addr4(), 9999), text))[name]
		if g.arrives(g.b, text, func(m string) error {
			return g.a.SendFrames(f, lab.IPFrame(g.mac[g.b], lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.b.Addr4(), markerPort), m)))
		}) {
			g.Errorf("%s arrives", text)
		}
		n++
	}
	g.wants(dataplane.GuardFrame, n)
	// Without the guard such frames are read by who gets them: it is the guard that stops them.
	g.options.Guards.Disabled = []dataplane.Guard{dataplane.GuardFrame}
	g.start()
	server, err := g.b.ListenPacket("udp4", netip.AddrPortFrom(g.b.Addr4(), 9999).String())
	g.must(err)
	defer func() { _ = server.Close() }()
	f := strangeFrames(g.mac[g.b], lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.b.Addr4(), 9999), "let by"))["802.1Q, VID 0"]
	g.must(g.a.SendFrames(f))
	b := make([]byte, 100)
	if k, _, err := server.ReadFrom(b); err != nil || string(b[:k]) != "let by" {
		g.Errorf("without the guard: %q, %v", b[:k], err)
	}
}

// TestTaggedOnALink sends tagged frames on a pod's own link: the kernel takes tags without a
// number off, and what is in them is checked as any packet is; others it does not read.
func TestTaggedOnALink(t *testing.T) {
	g := newGuardLab(t, false, nil)
	g.policies(governs("pod == 'b'", []policy.Direction{policy.Ingress}, allowTo(policy.UDP, markerPort)))
	for family := range 2 {
		a, b, c := addrOf(g.a, family), addrOf(g.b, family), addrOf(g.c, family)
		marker := func(text string) lab.Frame {
			return lab.IPFrame(g.nodeMAC, lab.UDPPacket(netip.AddrPortFrom(a, 4000), netip.AddrPortFrom(b, markerPort), text))
		}
		n := uint64(0)
		for _, tags := range [][]lab.Tag{
			{{Type: lab.EtherVLAN}}, {{Type: lab.EtherQinQ}}, {{Type: lab.EtherVLAN}, {Type: lab.EtherVLAN}},
			{{Type: lab.EtherQinQ}, {Type: lab.EtherVLAN}}, {{Type: lab.EtherVLAN, ID: 7}},
		} {
			for name, src := range map[string]netip.Addr{"own": a, "spoofed": c} {
				text := fmt.Sprintf("%v of %s source.", tags, name)
				f := lab.IPFrame(g.nodeMAC, lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(b, 9999), text))
				f.Tags = tags
				if g.arrives(g.b, text, func(m string) error { return g.a.SendFrames(f, marker(m)) }) {
					g.Errorf("%s arrives", text)
				}
				if name == "spoofed" && tags[0].ID == 0 {
					n++
				}
			}
		}
		g.wants(dataplane.GuardSource, n)
	}
}

// TestVLANAwareBridge has pods in a VLAN that their bridge knows of: they send without
// tags, the bridge puts them in and takes them off.
func TestVLANAwareBridge(t *testing.T) {
	g := newGuardLab(t, true, nil)
	err := g.lab.Node().Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		br, err := nl.LinkByName("cni0")
		if err != nil {
			return err
		}
		if err := nl.BridgeSetVlanFiltering(br, true); err != nil {
			return err
		}
		for _, name := range []string{g.a.Interface(), g.b.Interface(), "cni0"} {
			l, err := nl.LinkByName(name)
			if err == nil {
				err = nl.BridgeVlanAdd(l, 100, true, true, name == "cni0", name != "cni0")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("SKIPPED: this kernel has no bridges that know VLANs (CONFIG_BRIDGE_VLAN_FILTERING)")
	}
	g.must(err)
	g.policies(governs("pod == 'b'", bothWays, allowTo(policy.TCP, 80)))
	for family := range 2 {
		for _, pair := range [][2]*lab.Host{{g.a, g.b}, {g.lab.Node(), g.b}, {g.world, g.b}} {
			f := policy.Flow{Src: addrOf(pair[0], family), Dst: addrOf(pair[1], family), Protocol: policy.TCP, DstPort: 80}
			g.probe(f, lab.Allowed)
			if f.DstPort = 81; pair[0] != g.lab.Node() {
				g.probe(f, lab.Denied)
			}
		}
	}
	g.wants(dataplane.GuardFrame, 0)
	f := lab.IPFrame(g.mac[g.b], lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.b.Addr4(), 80), "tagged"))
	f.Tags = []lab.Tag{{Type: lab.EtherVLAN, ID: 100}}
	g.must(g.a.SendFrames(f))
	g.wants(dataplane.GuardFrame, 1)
}

// learned returns the port at which the bridge has a hardware address; 0 if at none.
func (g *guardLab) learned(mac net.HardwareAddr) (port int) {
	g.Helper()
	g.must(g.lab.Node().Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		list, err := nl.NeighList(0, unix.AF_BRIDGE)
		for _, n := range list {
			if n.HardwareAddr.String() == mac.String() && n.MasterIndex != 0 && n.State&unix.NUD_PERMANENT == 0 {
				port = n.LinkIndex
			}
		}
		return err
	}))
	return port
}

// TestHardwareAddresses has a pod on a bridge use the hardware address of another, in each
// place where a frame may say one. The bridge goes on to know where it is.
func TestHardwareAddresses(t *testing.T) {
	g := newGuardLab(t, true, nil)
	for family := range 2 {
		g.probe(policy.Flow{Src: addrOf(g.a, family), Dst: addrOf(g.b, family), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
	}
	a, c, port := g.mac[g.a], g.mac[g.c], g.known.Links[0].Index
	if at := g.learned(a); at != port {
		g.Fatalf("the bridge has the address of a at port %d, want %d", at, port)
	}
	udp := lab.UDPPacket(netip.AddrPortFrom(g.c.Addr4(), 4000), netip.AddrPortFrom(g.b.Addr4(), 9999), "")
	arp := func(sender net.HardwareAddr) []byte {
		b := append([]byte{0, 1, 8, 0, 6, 4, 0, 2}, sender...)
		b = append(b, g.c.Addr4().AsSlice()...)
		return append(append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), g.c.Addr4().AsSlice()...)
	}
	told := func(typ byte, option byte, mac net.HardwareAddr) []byte {
		body := append(g.c.Addr6().AsSlice(), option, 1)
		return lab.HopLimit(lab.ICMPPacket(g.c.Addr6(), netip.MustParseAddr("ff02::1"), typ, 0, [4]byte{0x20}, append(body, mac...)), 255)
	}
	group := func(last byte) net.HardwareAddr { return net.HardwareAddr{1, 0x80, 0xc2, 0, 0, last} }
	for name, f := range map[string]lab.Frame{
		"a frame of IPv4":     {Src: a, Dst: g.mac[g.b], Type: lab.EtherIPv4, Payload: udp},
		"a broadcast":         {Src: a, Type: lab.EtherIPv4, Payload: udp},
		"a frame of ARP":      {Src: a, Type: lab.EtherARP, Payload: arp(c)},
		"the sender of ARP":   {Type: lab.EtherARP, Payload: arp(a)},
		"an advertisement":    lab.IPFrame(nil, told(136, 2, a)),
		"a solicitation":      lab.IPFrame(nil, told(135, 1, a)),
		"IPv4 for the bridge": {Src: a, Dst: g.nodeMAC, Type: lab.EtherIPv4, Payload: udp},
		"IPv4 to bridges":     {Src: a, Dst: group(0), Type: lab.EtherIPv4, Payload: udp},
	} {
		g.must(g.c.SendFrames(f))
		g.wants(dataplane.GuardMAC, 1)
		if at := g.learned(a); at != port {
			g.Errorf("after %s the bridge has the address at port %d, want %d", name, at, port)
		}
	}
	// Groups of bridges themselves: spanning trees, LACP, 802.1X.
	for _, last := range []byte{0, 2, 3} {
		g.must(g.c.SendFrames(lab.Frame{Src: a, Dst: group(last), Type: 0x88cc, Payload: make([]byte, 46)}))
		g.wants(dataplane.GuardFrame, 1)
		if at := g.learned(a); at != port {
			g.Errorf("after a frame to group %d the bridge has the address at port %d, want %d", last, at, port)
		}
	}
	// And LLDP's, about which no rule is asked.
	g.must(g.lab.Node().Do(func() error { return hostlink.KeepReservedGroups(g.known.Links[0].Bridge) }))
	lldp := lab.Frame{Src: a, Dst: group(14), Type: 0x88cc, Payload: make([]byte, 46)}
	packet := lab.Frame{Src: a, Dst: group(14), Type: lab.EtherIPv4, Payload: lab.UDPPacket(
		netip.AddrPortFrom(netip.MustParseAddr("192.0.2.77"), 4000), netip.AddrPortFrom(guardNode4, 9999), "")}
	g.must(g.c.SendFrames(lldp, packet))
	g.wants(dataplane.GuardSource, 1)
	if at := g.learned(a); at != port {
		g.Errorf("after a frame of LLDP the bridge has the address at port %d, want %d", at, port)
	}
	// Where nobody knows the port's own address, it is not bound.
	known := g.known
	known.Links = append(known.Links[:0:0], known.Links...)
	known.Links[2].MAC = nil
	g.knows(known)
	g.must(g.c.SendFrames(lab.Frame{Src: net.HardwareAddr{2, 0, 0, 0, 0, 99}, Dst: g.mac[g.b], Type: lab.EtherIPv4, Payload: udp}))
	eventually(g.T, "the bridge learns", func() bool { return g.learned(net.HardwareAddr{2, 0, 0, 0, 0, 99}) == known.Links[2].Index })
	g.wants(dataplane.GuardMAC, 0)
}

// TestGuestWithItsOwnMAC has a pod whose interface got another hardware address, as that of
// a virtual machine's guest: what is known of it is the guest's.
func TestGuestWithItsOwnMAC(t *testing.T) {
	g := newGuardLab(t, true, nil)
	guest := net.HardwareAddr{2, 0, 0, 0, 0, 42}
	g.must(g.c.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		eth0, err := nl.LinkByName("eth0")
		if err != nil {
			return err
		}
		return nl.LinkSetHardwareAddr(eth0, guest)
	}))
	g.known.Links[2].MAC = guest
	g.knows(g.known)
	for family := range 2 {
		for _, h := range []*lab.Host{g.a, g.world} {
			g.probe(policy.Flow{Src: addrOf(g.c, family), Dst: addrOf(h, family), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
			g.probe(policy.Flow{Src: addrOf(h, family), Dst: addrOf(g.c, family), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
		}
	}
	g.wants(dataplane.GuardMAC, 0)
}
