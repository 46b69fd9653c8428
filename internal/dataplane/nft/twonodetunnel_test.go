package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// tunnelForms returns the forms in which a packet may be packed for a node, by name.
func (n *twoNodes) tunnelForms(outer [2]netip.Addr, to *guardLab, packet []byte) map[string][]byte {
	mac := vtepMAC(to, familyOf(outer[1]))
	forms := map[string][]byte{"IP in IP": packIP(outer, packet)}
	for _, port := range []uint16{8472, 4789, 8999} {
		forms[fmt.Sprintf("VXLAN at %d", port)] = packVXLAN(outer, port, mac, packet)
	}
	typ := uint16(lab.EtherIPv4)
	if packet[0]>>4 == 6 {
		typ = lab.EtherIPv6
	}
	ether := string(binary.BigEndian.AppendUint16(nil, typ))
	forms["GRE"] = lab.Packet(outer[0], outer[1], 47, append([]byte("\x00\x00"+ether), packet...))
	head := "\x00\x00\x65\x58" + string([]byte{0, 0, vni, 0}) + string(mac) + "\x02\x00\x00\x00\x00\x99" + ether
	forms["Geneve"] = lab.UDPPacket(netip.AddrPortFrom(outer[0], 4000), netip.AddrPortFrom(outer[1], 6081), head+string(packet))
	if n.shape.overlay != nil && n.shape.overlay.takes(familyOf(outer[1])) {
		forms["own"] = n.shape.overlay.pack(outer, to, packet)
	}
	return forms
}

// allAddrs returns the addresses of a family at which a node takes packets, by what they are.
func (n *twoNodes) allAddrs(g *guardLab, family int) map[string]netip.Addr {
	list := map[string]netip.Addr{"between nodes": addrOf(g.node, family), "on lo": g.alias()[family]}
	if n.shape.overlay != nil {
		list["of the overlay"] = g.overlayAddrs()[family]
	}
	if n.shape.bridge {
		list["of the bridge"] = g.podNets()[family].Addr().Next()
	}
	if family == 1 {
		list["any router's"] = g.podNets()[family].Addr()
		list["a group"] = netip.MustParseAddr("ff02::1")
		return list
	}
	list["a group"], list["everybody"] = netip.MustParseAddr("224.0.0.1"), everybody4
	list["everybody between nodes"] = netip.MustParseAddr("192.168.50.255")
	if n.shape.bridge {
		list["everybody of the bridge"] = netip.MustParseAddr("10.244." + g.digit() + ".255")
	}
	return list
}

// packedFor returns a packet of one pod for another.
func packedFor(from, to *lab.Host, family int, text string) []byte {
	return lab.UDPPacket(netip.AddrPortFrom(addrOf(from, family), 4000), netip.AddrPortFrom(addrOf(to, family), 9999), text)
}

// TestTunnelsToTheOtherNode has a pod pack packets of other pods for the other node, in
// whatever form and to whatever address of it that objects, or the sender's routes, tell. The
// receiver's policy allows those pods. All of it is dropped on the sender's node. At an address that nobody
// tells (on lo, say) the other node drops it, if it knows where its overlay ends; else it is for policy, or for DropAll.
func TestTunnelsToTheOtherNode(t *testing.T) {
	onTwoNodes(t, everyOverlay, func(n *twoNodes) {
		n.policies(governs("pod == 'c'", []policy.Direction{policy.Ingress}, from("pod in {'b', 'd'}"), allowTo(policy.UDP, markerPort)))
		for family := range familyDigit {
			for what, dst := range n.allAddrs(n.two, family) {
				known := slices.Contains(n.one.known.NodeAddrs, dst) || dst.IsMulticast() || dst == everybody4
				if what == "on lo" {
					if known {
						n.Errorf("%s is known, of which nobody tells", dst)
					}
					continue // see below
				}
				for _, src := range []*lab.Host{n.b, n.d} {
					outer := [2]netip.Addr{addrOf(n.a, family), dst}
					for form := range n.tunnelForms(outer, n.two, packedFor(src, n.c, family, "")) {
						text := fmt.Sprintf("%s to %v (%s), from %s.", form, dst, what, src.Name())
						p := n.tunnelForms(outer, n.two, packedFor(src, n.c, family, text))[form]
						if n.reaches(n.c, family, text, func() error { return n.a.SendPackets(p) }) {
							n.Errorf("%s arrives", text)
						}
						usual := form != "VXLAN at 8999"
						if dropped := n.one.hasDropped(dataplane.GuardEncapsulation); dropped == 0 && (form == "own" || usual) {
							n.Errorf("%s is not dropped on the sender's node", text)
						}
					}
				}
			}
		}
		n.two.wants("", 0)
		if _, ok := n.shape.overlay.(vxlan); ok { // which says where its packets come to the other node
			for family := range familyDigit {
				outer := [2]netip.Addr{addrOf(n.a, family), n.two.alias()[family]}
				p := n.shape.overlay.pack(outer, n.two, packedFor(n.b, n.c, family, "beside the overlay"))
				if n.reaches(n.c, family, "beside the overlay", func() error { return n.a.SendPackets(p) }) {
					n.Errorf("by way of %v it arrives", outer[1])
				}
				n.two.wants(dataplane.GuardOverlay, 1)
			}
		}
		n.restart(func(o *Options) { o.Guards.Encapsulation = dataplane.EncapsulationAll })
		for family := range familyDigit {
			outer := [2]netip.Addr{addrOf(n.a, family), n.two.alias()[family]}
			for form := range n.tunnelForms(outer, n.two, packedFor(n.b, n.c, family, "")) {
				p := n.tunnelForms(outer, n.two, packedFor(n.b, n.c, family, "unknown"))[form]
				if n.reaches(n.c, family, "unknown", func() error { return n.a.SendPackets(p) }) {
					n.Errorf("%s to %v arrives", form, outer[1])
				}
			}
		}
		// It is the guard that drops: else the other node unpacks them.
		n.restart(func(o *Options) { o.Guards.Encapsulation = dataplane.EncapsulationAllowed })
		for family := range familyDigit {
			if forms := n.tunnelForms([2]netip.Addr{addrOf(n.a, family), addrOf(n.two.node, family)}, n.two, packedFor(n.b, n.c, family, "let by")); forms["own"] != nil {
				n.comes(n.c, "let by", func() error { return n.a.SendPackets(forms["own"]) })
			}
		}
	})
}

// TestTunnelsThroughMasquerade has the sender's node put its own address into what pods send
// to others than pods, as is usual: so the receiver takes it for what a node sends.
func TestTunnelsThroughMasquerade(t *testing.T) {
	onTwoNodes(t, []overlay{vxlan{8472}, &byHand{}}, func(n *twoNodes) {
		stockNFTIn(n.T, n.one.node, `table ip outbound { chain postrouting { type nat hook postrouting priority srcnat; ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade; }; }`)
		dst := n.two.alias()[0] // not that of the overlay's own packets, which would be of the same connection
		n.restart(func(o *Options) { o.Guards.Encapsulation = dataplane.EncapsulationAll })
		send := func(text string) func() error {
			return func() error {
				return n.a.SendPackets(n.shape.overlay.pack([2]netip.Addr{n.a.Addr4(), dst}, n.two, packedFor(n.b, n.c, 0, text)))
			}
		}
		if n.reaches(n.c, 0, "behind the node's address", send("behind the node's address")) {
			n.Error("it arrives")
		}
		n.one.wants(dataplane.GuardEncapsulation, 1)
		n.restart(func(o *Options) {
			o.Guards = dataplane.GuardSettings{Encapsulation: dataplane.EncapsulationAllowed, Disabled: []dataplane.Guard{dataplane.GuardOverlay}}
		})
		n.comes(n.c, "let by", send("let by"))
	})
}

// TestTunnelsFromOutside has somebody between the nodes pack packets in the overlay's form for
// a node: with a source of a pod of that node none is believed, whoever it is for. Those of
// pods elsewhere are, as the threat model says, which shows that they are well packed.
func TestTunnelsFromOutside(t *testing.T) {
	onTwoNodes(t, realOverlays, func(n *twoNodes) {
		n.policies(governs("pod == 'c'", []policy.Direction{policy.Ingress}, from("pod in {'b', 'd'}"), allowTo(policy.UDP, markerPort)))
		for family := range familyDigit {
			if !n.shape.overlay.takes(family) {
				continue
			}
			for what, dst := range n.allAddrs(n.two, family) {
				if dst.IsMulticast() || dst == everybody4 || what == "of the overlay" || what == "of the bridge" || what == "any router's" || what == "everybody of the bridge" {
					continue // to which the outsider has no way
				}
				if _, ok := n.shape.overlay.(*byHand); ok && what == "everybody between nodes" {
					continue // the first node would unpack it as well, and pass it on
				}
				for _, pair := range [][2]*lab.Host{{n.d, n.c}, {n.c, n.c}, {n.c, n.d}, {n.d, n.d}} {
					text := fmt.Sprintf("from %s to %s by way of %v (%s).", pair[0].Name(), pair[1].Name(), dst, what)
					p := n.shape.overlay.pack([2]netip.Addr{addrOf(n.outsider, family), dst}, n.two, packedFor(pair[0], pair[1], family, text))
					if n.reaches(pair[1], family, text, func() error { return n.outsider.SendPackets(p) }) {
						n.Errorf("%s arrives", text)
					}
					guard := dataplane.GuardUplinkSource
					if len(n.two.known.OverlayPorts) > 0 && !slices.Contains(n.two.known.OverlayAddrs, dst) {
						guard = dataplane.GuardOverlay // it is not unpacked at all
					}
					n.two.wants(guard, 1)
				}
			}
			p := n.shape.overlay.pack([2]netip.Addr{addrOf(n.outsider, family), addrOf(n.two.node, family)}, n.two, packedFor(n.b, n.c, family, "believed"))
			n.comes(n.c, "believed", func() error { return n.outsider.SendPackets(p) })
		}
	})
}
