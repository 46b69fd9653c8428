package nft

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

var bothWays = []policy.Direction{policy.Egress, policy.Ingress}

// forgetNeighbours has all hosts find each other anew.
func (g *guardLab) forgetNeighbours() {
	g.Helper()
	for _, h := range append(g.lab.Hosts(), g.lab.Node()) {
		g.must(h.Do(func() error {
			nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer nl.Close()
			list, err := nl.NeighList(0, unix.AF_INET6)
			for _, n := range list {
				if n.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0 {
					_ = nl.NeighDel(&n) // one that has gone meanwhile is none
				}
			}
			return err
		}))
	}
}

// TestNeighbourDiscovery has pods find each other and the world although policy allows
// nothing but one port: they must not be kept from finding the neighbours' addresses.
func TestNeighbourDiscovery(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.policies(governs("all()", bothWays, allowTo(policy.TCP, 80)))
		for _, pair := range [][2]*lab.Host{{g.a, g.b}, {g.b, g.c}, {g.a, g.world}, {g.world, g.c}} {
			g.forgetNeighbours()
			f := policy.Flow{Src: pair[0].Addr6(), Dst: pair[1].Addr6(), Protocol: policy.TCP, DstPort: 80}
			g.probe(f, lab.Allowed)
			f.DstPort = 81
			g.probe(f, lab.Denied)
		}
		g.wants(dataplane.GuardSource, 0)
	})
}

// TestControlTrafficEndsAtTheLink has a pod whose egress is denied send to the world what
// looks like control traffic: what a router would pass on is for policy to judge.
func TestControlTrafficEndsAtTheLink(t *testing.T) {
	g := newGuardLab(t, false, nil)
	g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort)))
	const text = "carried by what looks like control traffic"
	a, w := g.a.Addr6(), g.world.Addr6()
	for _, typ := range []byte{130, 131, 132, 133, 135, 136, 143} {
		p := lab.HopLimit(lab.ICMPPacket(a, w, typ, 0, [4]byte{}, append(w.AsSlice(), text...)), 255)
		g.notSent(p, text)
	}
	g.notSent(lab.Packet(g.a.Addr4(), g.world.Addr4(), 2, append([]byte{0x22, 0, 0, 0, 0, 0, 0, 0}, text...)), text)
}

// TestOnlyIGMPIsControl has a pod of a bridge whose egress is denied send to groups what has the number of
// IGMP: messages of IGMP arrive, as long as no router would pass them on, and nothing else does.
func TestOnlyIGMPIsControl(t *testing.T) {
	g := newGuardLab(t, true, nil)
	g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort)))
	for _, x := range []struct {
		typ, ttl byte
		arrives  bool
	}{{0x16, 1, true}, {0x22, 1, true}, {0x17, 1, true}, {0x11, 1, true}, {0x99, 1, false}, {0, 1, false}, {0x13, 1, false}, {0x22, 64, false}, {0x16, 2, false}} {
		text := fmt.Sprintf("type %#x, TTL %d.", x.typ, x.ttl)
		p := lab.TTL(lab.Packet(g.a.Addr4(), netip.MustParseAddr("224.0.0.251"), 2, append([]byte{x.typ, 0, 0, 0, 224, 0, 0, 251}, text...)), x.ttl)
		if got := g.reaches(g.a, g.b, text, p, nil); got != x.arrives {
			g.Errorf("%s: arrives %v", text, got)
		}
	}
}

// notSent checks that a packet of pod a does not come to the world.
func (g *guardLab) notSent(packet []byte, text string) {
	g.Helper()
	g.sent(packet, text, false)
}

// sent checks whether a packet of pod a comes to the world.
func (g *guardLab) sent(packet []byte, text string, want bool) {
	g.Helper()
	got := g.arrives(g.world, text, func(marker string) error {
		return g.a.SendPackets(packet, lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.world.Addr4(), markerPort), marker))
	})
	if got != want {
		g.Errorf("%x: arrives %v, want %v", packet[:min(len(packet), 64)], got, want)
	}
}

// TestPodsAreNoRouters has a pod say that it is a router, or that another way is better.
func TestPodsAreNoRouters(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		local := netip.MustParseAddr("fe80::bad")
		all := netip.MustParseAddr("ff02::1")
		for _, f := range []lab.Frame{
			lab.IPFrame(nil, lab.HopLimit(lab.ICMPPacket(local, all, 134, 0, [4]byte{64, 0, 7, 8}, make([]byte, 8)), 255)),
			lab.IPFrame(nil, lab.HopLimit(lab.ICMPPacket(g.a.Addr6(), all, 134, 0, [4]byte{64, 0, 7, 8}, make([]byte, 8)), 255)),
			lab.IPFrame(g.towards(g.b), lab.HopLimit(lab.ICMPPacket(local, g.b.Addr6(), 137, 0, [4]byte{}, make([]byte, 32)), 255)),
			lab.IPFrame(g.towards(g.b), lab.ICMPPacket(g.a.Addr4(), g.b.Addr4(), 5, 1, [4]byte(g.a.Addr4().AsSlice()), lab.UDPPacket(
				netip.AddrPortFrom(g.b.Addr4(), 1), netip.AddrPortFrom(g.world.Addr4(), 2), ""))),
			lab.IPFrame(nil, lab.ICMPPacket(g.a.Addr4(), netip.MustParseAddr("224.0.0.1"), 9, 0, [4]byte{1, 2, 7, 8}, make([]byte, 8))),
		} {
			g.must(g.a.SendFrames(f))
			g.wants(dataplane.GuardRouter, 1)
		}
	})
}

// TestWithoutAddress sends what a host sends that has no address yet, as it must, and what
// only looks like it.
func TestWithoutAddress(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		nobody4, nobody6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
		all := netip.MustParseAddr("ff02::1:ff00:2")
		discover := lab.IPFrame(nil, lab.UDPPacket(netip.AddrPortFrom(nobody4, 68), netip.AddrPortFrom(everybody4, 67), "discover"))
		solicit := func(typ byte) lab.Frame {
			return lab.IPFrame(nil, lab.HopLimit(lab.ICMPPacket(nobody6, all, typ, 0, [4]byte{}, g.a.Addr6().AsSlice()), 255))
		}
		g.must(g.a.SendFrames(discover, solicit(135), solicit(133), solicit(143), solicit(131), solicit(132)))
		for _, lie := range []lab.Frame{
			lab.IPFrame(nil, lab.UDPPacket(netip.AddrPortFrom(nobody4, 68), netip.AddrPortFrom(everybody4, 53), "not DHCP")),
			lab.IPFrame(nil, lab.UDPPacket(netip.AddrPortFrom(nobody4, 68), netip.AddrPortFrom(g.b.Addr4(), 67), "to one")),
			lab.IPFrame(nil, lab.UDPPacket(netip.AddrPortFrom(nobody6, 68), netip.AddrPortFrom(all, 67), "not DHCP")),
			solicit(128), solicit(136), solicit(134),
		} {
			g.must(g.a.SendFrames(lie))
			g.wants(dataplane.GuardSource, 1)
		}
	})
}
