package nft

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// from is a rule that allows everything from pods of a selector.
func from(sel string) policy.Rule {
	return policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse(sel)}}}
}

// to is a rule that allows everything to pods of a selector.
func to(sel string) policy.Rule {
	return policy.Rule{Action: policy.Allow, Destination: policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse(sel)}}}
}

// TestAcrossNodes has pods, nodes and the outside connect from one node to the other: what
// policy allows goes through, and nothing else.
func TestAcrossNodes(t *testing.T) {
	onTwoNodes(t, append(someOverlays, ipip{}), func(n *twoNodes) {
		n.policies(
			governs("pod == 'c'", []policy.Direction{policy.Ingress}, from("pod == 'a'")),
			governs("pod == 'b'", []policy.Direction{policy.Egress}, to("pod == 'd'")),
		)
		for family := range familyDigit {
			ping := policy.Flow{Protocol: [2]policy.Protocol{policy.ICMP, policy.ICMPv6}[family], ICMPType: [2]uint8{8, 128}[family]}
			tcp := policy.Flow{Protocol: policy.TCP, DstPort: 80}
			for _, x := range []struct {
				from, to *lab.Host
				flow     policy.Flow
				want     lab.Verdict
			}{
				{n.a, n.c, tcp, lab.Allowed}, {n.a, n.c, ping, lab.Allowed}, {n.a, n.c, policy.Flow{Protocol: policy.UDP, DstPort: 53}, lab.Allowed},
				{n.b, n.c, tcp, lab.Denied}, {n.b, n.c, ping, lab.Denied}, {n.b, n.d, tcp, lab.Allowed},
				{n.d, n.c, tcp, lab.Denied}, {n.c, n.b, tcp, lab.Allowed}, {n.c, n.a, ping, lab.Allowed},
				{n.two.node, n.c, tcp, lab.Allowed}, {n.one.node, n.b, ping, lab.Allowed}, {n.one.node, n.d, tcp, lab.Allowed},
			} {
				x.flow.Src, x.flow.Dst = addrOf(x.from, family), addrOf(x.to, family)
				n.one.probe(x.flow, x.want)
			}
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
	})
}

// someOverlays are those over which what must work is tried.
var someOverlays = []overlay{nil, vxlan{8472}, &byHand{}}

// services has a node translate an address of each family into one of a pod.
func (n *twoNodes) services(g *guardLab, to *lab.Host, protocol string, port uint16) []netip.AddrPort {
	n.Helper()
	stockNFTIn(n.T, g.node, fmt.Sprintf(`table inet services { chain prerouting { type nat hook prerouting priority dstnat;
		ip daddr 10.96.0.7 %[1]s dport 80 dnat ip to %[2]s; ip6 daddr fd96::7 %[1]s dport 80 dnat ip6 to %[3]s; }; }`,
		protocol, netip.AddrPortFrom(to.Addr4(), port), netip.AddrPortFrom(to.Addr6(), port)))
	return []netip.AddrPort{netip.MustParseAddrPort("10.96.0.7:80"), netip.MustParseAddrPort("[fd96::7]:80")}
}

// TestPathMTUAcrossNodes has pods, whose policy allows one port and nothing else, send each other
// more than the way takes. Who says so is the node, where there is an overlay, and else a
// router between the nodes; the pod hears it for a translated address as well.
func TestPathMTUAcrossNodes(t *testing.T) {
	onTwoNodes(t, someOverlays, func(n *twoNodes) {
		const port, size = 8080, 200_000
		services := n.services(n.one, n.d, "tcp", port)
		if n.shape.overlay == nil {
			n.throughRouter(1300)
		}
		n.policies(governs("pod in {'a', 'c', 'd'}", bothWays, allowTo(policy.TCP, port)))
		for family, service := range services {
			// Who has answered once knows how much the way takes, and tells those who ask next.
			for to, asked := range map[*lab.Host]netip.AddrPort{n.c: netip.AddrPortFrom(addrOf(n.c, family), port), n.d: service} {
				listener, err := to.Listen("tcp", netip.AddrPortFrom(addrOf(to, family), port).String())
				n.must(err)
				defer func() { _ = listener.Close() }()
				heard, err := n.a.Capture()
				n.must(err)
				n.one.carries(n.a, asked.String(), listener, size, size)
				if !saysTooBig(heard, asked.Addr()) {
					n.Errorf("nobody says to the pod that what it sends to %v is too big: the test says nothing", asked)
				}
				_ = heard.Close()
			}
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
	})
}

// saysTooBig reports whether among the frames that arrived is an ICMP error of packets to an
// address that were too big.
func saysTooBig(heard *lab.Capture, dst netip.Addr) bool {
	for {
		frame, err := heard.Next(50 * time.Millisecond)
		if err != nil {
			return false
		}
		ip := frame[14:]
		switch {
		case len(ip) > 48 && ip[0]>>4 == 4 && ip[9] == 1 && ip[20] == 3 && ip[21] == 4 && netip.AddrFrom4([4]byte(ip[44:48])) == dst,
			len(ip) > 88 && ip[0]>>4 == 6 && ip[6] == 58 && ip[40] == 2 && netip.AddrFrom16([16]byte(ip[72:88])) == dst:
			return true
		}
	}
}

// throughRouter has the nodes send what is for each other's pods by the router between them,
// which passes on so much at once.
func (n *twoNodes) throughRouter(mtu int) {
	n.Helper()
	n.must(routesOf(n.lab.Node(), func(nl *netlink.Handle) error {
		lan, err := nl.LinkByName("lan0")
		if err != nil {
			return err
		}
		return nl.LinkSetMTU(lan, mtu)
	}))
	for i, g := range n.nodes() {
		for family, router := range addrs("192.168.50.254", "fd50::fe") {
			n.must(n.nodes()[1-i].node.Route(g.podNets()[family], router))
		}
	}
}

// TestErrorsOfReceiversAcrossNodes has a pod send to a closed port of a pod on the other node, by
// its address and a service's, and somebody outside by the first node's address, which puts its own
// into what it sends on: they hear that it is closed, although the receiver's policy lets it send nothing.
func TestErrorsOfReceiversAcrossNodes(t *testing.T) {
	onTwoNodes(t, someOverlays, func(n *twoNodes) {
		services := n.services(n.one, n.c, "udp", 7)
		n.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, 7)),
			governs("pod == 'c'", []policy.Direction{policy.Ingress}, allowTo(policy.UDP, 7)), governs("pod == 'c'", []policy.Direction{policy.Egress}))
		stockNFTIn(n.T, n.one.node, fmt.Sprintf(`table inet published {
			chain prerouting { type nat hook prerouting priority dstnat; udp dport 7000 dnat ip to %[1]s:7; udp dport 7000 dnat ip6 to [%[2]s]:7; };
			chain postrouting { type nat hook postrouting priority srcnat; udp dport 7 ct original proto-dst 7000 masquerade; }; }`, n.c.Addr4(), n.c.Addr6()))
		for family, service := range services {
			if err := n.one.refused(n.outsider, netip.AddrPort{}, netip.AddrPortFrom(addrOf(n.one.node, family), 7000)); err != nil {
				n.Errorf("from outside, family %d: %v", family, err)
			}
			for _, to := range []netip.AddrPort{netip.AddrPortFrom(addrOf(n.c, family), 7), service} {
				if err := n.one.refused(n.a, netip.AddrPort{}, to); err != nil {
					n.Errorf("%v: %v", to, err)
				}
			}
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
	})
}

// TestNeighbourDiscoveryOfNodes has pods on bridges, and their nodes, find each other anew
// although policy allows one port and nothing else.
func TestNeighbourDiscoveryOfNodes(t *testing.T) {
	for _, o := range someOverlays {
		s := shape{true, o}
		t.Run(s.String(), func(t *testing.T) {
			n := newTwoNodes(t, s)
			n.policies(governs("all()", bothWays, allowTo(policy.TCP, 80)))
			for _, pair := range [][2]*lab.Host{{n.a, n.c}, {n.d, n.b}, {n.a, n.b}, {n.one.node, n.a}, {n.two.node, n.b}} {
				n.one.forgetNeighbours()
				n.one.probe(policy.Flow{Src: pair[0].Addr6(), Dst: pair[1].Addr6(), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
			}
			n.one.probe(policy.Flow{Src: n.a.Addr6(), Dst: n.c.Addr6(), Protocol: policy.TCP, DstPort: 81}, lab.Denied)
			n.one.wants("", 0)
			n.two.wants("", 0)
		})
	}
}

// TestForgedErrorsAcrossNodes has third pods tell both ends of a connection between nodes errors
// about it: they end on the sender's node, whoever they are for.
func TestForgedErrorsAcrossNodes(t *testing.T) {
	onTwoNodes(t, fewOverlays, func(n *twoNodes) {
		for family, types := range errorTypes {
			a, c := netip.AddrPortFrom(addrOf(n.a, family), 5000), netip.AddrPortFrom(addrOf(n.c, family), 53)
			n.one.begin(a, c)
			for i, liar := range []*lab.Host{n.b, n.d} {
				node, other := n.nodes()[i], n.nodes()[1-i]
				for _, typ := range types {
					for _, about := range [][2]netip.AddrPort{{a, c}, {c, a}} {
						node.note = fmt.Sprintf("type %d of %s to %v", typ, liar.Name(), about[0])
						forged := lab.ICMPPacket(addrOf(liar, family), about[0].Addr(), typ, 0, [4]byte{2: 5}, lab.UDPPacket(about[0], about[1], "forged"))
						n.must(liar.SendPackets(forged))
						node.wants(dataplane.GuardICMPError, 1)
						other.wants("", 0)
					}
				}
			}
		}
	})
}
