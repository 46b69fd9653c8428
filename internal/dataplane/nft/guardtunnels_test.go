package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// packed returns the forms in which a pod may pack a packet for another address up.
func packed(src, dst netip.Addr, text string) map[string][]byte {
	forms := map[string][]byte{}
	udp := func(port uint16) []byte {
		return lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, port), text)
	}
	for name, port := range map[string]uint16{"VXLAN": 4789, "Linux's VXLAN": 8472, "Geneve": 6081, "a port of an overlay": 7777} {
		forms[name] = udp(port)
	}
	lite := udp(4789)
	head := 20
	if src.Is6() {
		head = 40
		lite[6] = 136
	} else {
		lite[9] = 136
		lite = lab.Packet(src, dst, 136, lite[20:])
	}
	binary.BigEndian.PutUint16(lite[head+4:], 8) // how much the checksum is about
	forms["UDP-Lite"] = lite
	for name, protocol := range map[string]byte{"IP in IP": 4, "IPv6 in IP": 41, "GRE": 47} {
		forms[name] = lab.Packet(src, dst, protocol, append([]byte{0, 0, 8, 0, 0, 0, 0, 0}, text...))
	}
	if src.Is6() {
		body := udp(4789)[40:]
		options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
		forms["behind hop-by-hop options"] = lab.Packet(src, dst, 0, append(options(17), body...))
		forms["behind destination options"] = lab.Packet(src, dst, 60, append(options(17), body...))
		forms["behind two headers"] = lab.Packet(src, dst, 60, append(append(options(60), options(17)...), body...))
		forms["in one fragment"] = lab.Packet(src, dst, 44, append([]byte{17, 0, 0, 0, 0, 0, 0, 9}, body...))
	} else {
		forms["behind IPv4 options"] = lab.WithOptions(udp(4789), []byte{1, 1, 1, 0}) // no operation
	}
	return forms
}

// fragmentsCut numbers the packets that were cut, so that no fragment is taken for another's.
var fragmentsCut uint16

// fragments cuts a packet in two, the first of which has only so much of its payload.
func fragments(p []byte, first int) [][]byte {
	fragmentsCut++
	id := binary.BigEndian.AppendUint16(nil, fragmentsCut)
	if p[0]>>4 == 6 {
		src, dst := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		part := func(offset, more int, body []byte) []byte {
			return lab.Packet(src, dst, 44, append([]byte{p[6], 0, byte(offset >> 8), byte(offset | more), 0, 0, id[0], id[1]}, body...))
		}
		return [][]byte{part(0, 1, p[40:40+first]), part(first, 0, p[40+first:])}
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	part := func(offset, more int, body []byte) []byte {
		f := lab.Packet(src, dst, p[9], body)
		copy(f[4:], id)
		binary.BigEndian.PutUint16(f[6:], uint16(offset/8|more<<13))
		return lab.WithOptions(f, nil) // with its checksum
	}
	return [][]byte{part(0, 1, p[20:20+first]), part(first, 0, p[20+first:])}
}

// TestEncapsulation has a pod send packed up packets to nodes, groups, its own node and the
// world. The world includes another node.
func TestEncapsulation(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.known.TunnelPorts = []uint16{7777}
		g.known.NodeAddrs = append(g.known.NodeAddrs, g.world.Addr6())
		g.knows(g.known)
		otherNode4 := netip.MustParseAddr("192.0.2.10")
		for _, scope := range []dataplane.EncapsulationScope{dataplane.EncapsulationToNodes, dataplane.EncapsulationAll, dataplane.EncapsulationAllowed} {
			g.options.Guards.Encapsulation = scope
			g.start()
			g.countAnew()
			n := uint64(0)
			for _, to := range []struct {
				what    string
				dst     netip.Addr
				dropped bool
			}{
				{"node", otherNode4, scope != dataplane.EncapsulationAllowed},
				{"node", g.world.Addr6(), scope != dataplane.EncapsulationAllowed},
				{"world", g.world.Addr4(), scope == dataplane.EncapsulationAll},
			} {
				src := g.a.Addr4()
				if to.dst.Is6() {
					src = g.a.Addr6()
				}
				for name := range packed(src, to.dst, "") {
					text := fmt.Sprintf("%s to %s %s, %v.", name, to.what, to.dst, scope)
					g.sent(packed(src, to.dst, text)[name], text, !to.dropped)
					if to.dropped {
						n++
					}
				}
			}
			g.wants(dataplane.GuardEncapsulation, n)
		}
	})
}

// TestEncapsulationToTheOwnNode sends to each address of the node, to groups and to
// everybody; the node itself would unpack it.
func TestEncapsulationToTheOwnNode(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.known.NodeAddrs = nil // what is for the host itself is known without
		g.knows(g.known)
		list := []netip.Addr{guardNode4, guardNode6, netip.MustParseAddr("224.0.0.1"), everybody4, netip.MustParseAddr("ff02::1")}
		if g.bridge {
			list = append(list, netip.MustParseAddr("10.244.1.1"), netip.MustParseAddr("10.244.1.255"), netip.MustParseAddr("fd00:244::1"))
		}
		for _, dst := range list {
			src := g.a.Addr4()
			if dst.Is6() {
				src = g.a.Addr6()
			}
			mac := g.nodeMAC
			if dst.IsMulticast() || dst == everybody4 {
				mac = nil
			}
			for name, p := range packed(src, dst, "") {
				if name == "a port of an overlay" {
					continue
				}
				g.must(g.a.SendFrames(lab.IPFrame(mac, p)))
				want := uint64(1)
				if g.bridge && mac == nil { // and to two other ports
					want = 3
				}
				g.note = name + " to " + dst.String()
				g.wants(dataplane.GuardEncapsulation, want)
			}
		}
	})
}

// TestEncapsulationInFragments cuts such packets: connection tracking puts them together
// before anybody is asked, so that the port is known.
func TestEncapsulationInFragments(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		for family, dst := range []netip.Addr{guardNode4, guardNode6} {
			src := addrOf(g.a, family)
			for _, dst := range []netip.Addr{dst, netip.MustParseAddr([]string{"192.0.2.10", "2001:db8::9"}[family])} {
				if family == 1 {
					g.known.NodeAddrs = append(g.known.NodeAddrs, dst)
					g.knows(g.known)
				}
				p := lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 4789), "a text that is long enough to be cut")
				for _, f := range fragments(p, 8) {
					g.must(g.a.SendPackets(f))
				}
				g.note = dst.String()
				g.wants(dataplane.GuardEncapsulation, 1)
			}
		}
	})
}

// TestEncapsulationThroughAService has a pod send to an address that the node translates
// into one of another node.
func TestEncapsulationThroughAService(t *testing.T) {
	g := newGuardLab(t, false, nil)
	stockNFT(g.T, g.lab, `table ip services { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.7 udp dport 53 dnat to 192.0.2.10:8472; ip daddr 10.96.0.7 udp dport 54 dnat to 172.31.255.1:8472; }; }`)
	for _, port := range []uint16{53, 54} {
		g.must(g.a.SendPackets(lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(netip.MustParseAddr("10.96.0.7"), port), "")))
		g.wants(dataplane.GuardEncapsulation, 1)
	}
	// Nodes themselves, and who is outside, may.
	g.must(g.lab.Node().SendPackets(lab.UDPPacket(netip.AddrPortFrom(guardNode4, 4000), netip.AddrPortFrom(g.a.Addr4(), 8472), "")))
	g.must(g.world.SendPackets(lab.UDPPacket(netip.AddrPortFrom(g.world.Addr4(), 4000), netip.AddrPortFrom(guardNode4, 8472), "")))
	g.probe(policy.Flow{Src: g.a.Addr4(), Dst: g.world.Addr4(), Protocol: policy.UDP, DstPort: 53}, lab.Allowed)
	g.wants(dataplane.GuardEncapsulation, 0)
}
