package nft

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
)

// TestAllowedSources has a pod that may have a virtual address use it, and another address
// that it may not have; another pod may have neither.
func TestAllowedSources(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.known.Links[0].Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28"), netip.MustParsePrefix("2001:db8:7::/64")}
		for round := range 3 {
			switch round {
			case 1: // other ranges, in a table that is there
				g.known.Links[0].Sources = append(g.known.Links[0].Sources, netip.MustParsePrefix("203.0.113.7/32"))
			case 2:
				g.known.Links[0].Sources = nil
			}
			g.knows(g.known)
			for vip, may := range map[string]bool{"198.51.100.7": round < 2, "2001:db8:7::7": round < 2, "203.0.113.7": round == 1, "198.51.100.16": false, "2001:db8:8::7": false} {
				src := netip.MustParseAddr(vip)
				family := familyOf(src)
				text := "from " + vip
				send := func(h *lab.Host) bool {
					return g.arrives(g.b, text, func(m string) error {
						return h.SendFrames(lab.IPFrame(g.towards(g.b), lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(addrOf(g.b, family), 9999), text)),
							lab.IPFrame(g.towards(g.b), lab.UDPPacket(netip.AddrPortFrom(addrOf(h, family), 4000), netip.AddrPortFrom(addrOf(g.b, family), markerPort), m)))
					})
				}
				if got := send(g.a); got != may {
					g.Errorf("round %d: %s arrives %v", round, text, got)
				}
				if send(g.c) {
					g.Errorf("round %d: %s arrives from another pod", round, text)
				}
				n := uint64(1)
				if !may {
					n++
				}
				g.wants(dataplane.GuardSource, n)
			}
		}
		g.known.Links[0].Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28"), netip.MustParsePrefix("2001:db8:7::/64")}
		g.knows(g.known)
		if g.bridge { // who has the address now is told by ARP, and by advertisements
			vip4, vip6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:7::7")
			arp := append(append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, g.mac[g.a]...), vip4.AsSlice()...)
			arp = append(append(arp, make([]byte, 6)...), vip4.AsSlice()...)
			advert := lab.HopLimit(lab.ICMPPacket(vip6, netip.MustParseAddr("ff02::1"), 136, 0, [4]byte{0x20}, append(append(vip6.AsSlice(), 2, 1), g.mac[g.a]...)), 255)
			g.must(g.a.SendFrames(lab.Frame{Type: lab.EtherARP, Payload: arp}, lab.IPFrame(nil, advert)))
			g.wants(dataplane.GuardSource, 0)
			copy(arp[8:], g.mac[g.c])
			g.must(g.c.SendFrames(lab.Frame{Type: lab.EtherARP, Payload: arp}))
			g.wants(dataplane.GuardSource, 1)
		}
		// Errors about connections of the virtual address are its holder's to tell.
		vip := netip.MustParseAddrPort("198.51.100.7:5000")
		about := lab.UDPPacket(netip.AddrPortFrom(g.world.Addr4(), 53), vip, "")
		g.must(g.a.SendFrames(lab.IPFrame(g.nodeMAC, lab.ICMPPacket(g.a.Addr4(), g.world.Addr4(), 3, 3, [4]byte{}, about))))
		g.wants(dataplane.GuardICMPError, 0)
		g.must(g.c.SendFrames(lab.IPFrame(g.nodeMAC, lab.ICMPPacket(g.c.Addr4(), g.world.Addr4(), 3, 3, [4]byte{}, about))))
		g.wants(dataplane.GuardICMPError, 1)
	})
}
