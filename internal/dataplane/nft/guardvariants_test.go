package nft

import (
	"net"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// TestOthersMAC has a pod that may reach the world send packets that say so to the hardware
// address of another pod, which nothing governs, and to everybody's.
func TestOthersMAC(t *testing.T) {
	g := newGuardLab(t, true, nil)
	g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress},
		policy.Rule{Action: policy.Allow, Destination: policy.Peer{Nets: []netip.Prefix{netip.PrefixFrom(g.world.Addr4(), 32), netip.PrefixFrom(g.world.Addr6(), 128)}}},
		allowTo(policy.UDP, markerPort)))
	for name, mac := range map[string]net.HardwareAddr{"another pod": g.mac[g.c], "everybody": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		for family := range familyDigit {
			text := "for the world, to the hardware address of " + name + "."
			from, to := netip.AddrPortFrom(addrOf(g.a, family), 4000), netip.AddrPortFrom(addrOf(g.world, family), 9999)
			g.countAnew()
			if g.reaches(g.a, g.c, text, lab.UDPPacket(from, to, text), mac) {
				g.Errorf("family %d: %s arrives", family, text)
			}
		}
	}
	// What is for the pod that it reaches goes on.
	g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.TCP, 80)))
	g.probe(policy.Flow{Src: g.a.Addr4(), Dst: g.c.Addr4(), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
	g.probe(policy.Flow{Src: g.a.Addr6(), Dst: g.c.Addr6(), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
}

// TestOtherPortOfTheBridge sends by a port that is no pod's with the address of a pod: to itself, it
// seems, which policy would not be asked about.
func TestOtherPortOfTheBridge(t *testing.T) {
	g := newGuardLab(t, true, nil)
	g.policies(governs("pod == 'b'", []policy.Direction{policy.Ingress}, allowTo(policy.UDP, markerPort)))
	known := g.known
	known.Links = known.Links[1:] // a's port could be an uplink
	g.knows(known)
	for family := range familyDigit {
		b := addrOf(g.b, family)
		text := "from b to b, by another's port."
		g.countAnew()
		if g.reaches(g.a, g.b, text, lab.UDPPacket(netip.AddrPortFrom(b, 4000), netip.AddrPortFrom(b, 9999), text), g.mac[g.b]) {
			g.Errorf("family %d: %s arrives", family, text)
		}
		g.wants(dataplane.GuardUplinkSource, 1)
	}
}

// TestProbesOfOthers asks, as who is about to take it, for another's address: whoever is about
// to take it in earnest would believe that it is taken.
func TestProbesOfOthers(t *testing.T) {
	g := newGuardLab(t, true, nil)
	group := netip.MustParseAddr("ff02::1:ff00:3")
	probe := func(target netip.Addr) lab.Frame {
		return lab.IPFrame(nil, lab.HopLimit(lab.ICMPPacket(netip.IPv6Unspecified(), group, 135, 0, [4]byte{}, target.AsSlice()), 255))
	}
	g.must(g.c.SendFrames(probe(g.c.Addr6()), probe(netip.MustParseAddr("fe80::c"))))
	g.must(g.c.SendFrames(probe(g.b.Addr6())))
	g.wants(dataplane.GuardSource, 1)
}

// TestEncapsulationFromLinkLocal sends packed up packets to the node from a link-local
// address, as any process may.
func TestEncapsulationFromLinkLocal(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		for name, p := range packed(g.linkLocalOf(g.a, "eth0"), guardNode6, "") {
			if name == "a port of an overlay" {
				continue
			}
			g.note = name
			g.must(g.a.SendFrames(lab.IPFrame(g.nodeMAC, p)))
			g.wants(dataplane.GuardEncapsulation, 1)
		}
	})
}
