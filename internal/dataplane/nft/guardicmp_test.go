package nft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// errorTypes are the types of ICMP errors by family.
var errorTypes = [2][]byte{{3, 4, 11, 12}, {1, 2, 3, 4}}

// begin has a connection between two hosts be known to the node.
func (g *guardLab) begin(from, to netip.AddrPort) {
	g.Helper()
	h := g.lab.Owner(from.Addr())
	text := "begins " + from.String()
	peer := g.lab.Owner(to.Addr())
	c := g.capture(peer)
	g.must(h.SendPackets(lab.UDPPacket(from, to, text)))
	for {
		frame, err := c.Next(20 * time.Second)
		g.must(err)
		if strings.Contains(string(frame), text) {
			return
		}
	}
}

// TestErrorsAsATunnel has a pod whose egress is denied send errors about connections of
// others to the world, with a text behind the embedded packet.
func TestErrorsAsATunnel(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort)))
		for _, on := range []bool{true, false} {
			if !on {
				g.options.Guards.Disabled = []dataplane.Guard{dataplane.GuardICMPError}
				g.start()
			}
			for family, types := range errorTypes {
				w, c, a := addrOf(g.world, family), addrOf(g.c, family), addrOf(g.a, family)
				from, to := netip.AddrPortFrom(c, uint16(5000+family)), netip.AddrPortFrom(w, 53)
				g.begin(from, to)
				if family == 1 {
					types = append(slices.Clone(types), 0, 100, 127) // not assigned, and errors to connection tracking
				}
				for _, typ := range types {
					text := fmt.Sprintf("behind an error of type %d, guard %v.", typ, on)
					embedded := append(lab.UDPPacket(to, from, ""), strings.Repeat(text, 20)...)
					g.countAnew()
					g.sent(lab.ICMPPacket(a, w, typ, 0, [4]byte{2: 5}, embedded), text, !on)
					if on {
						g.wants(dataplane.GuardICMPError, 1)
					}
				}
			}
		}
	})
}

// TestErrorsInFragments cuts such an error, within the embedded packet and behind it.
func TestErrorsInFragments(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort)))
		for family, types := range errorTypes {
			w, c, a := addrOf(g.world, family), addrOf(g.c, family), addrOf(g.a, family)
			from, to := netip.AddrPortFrom(c, uint16(5000+family)), netip.AddrPortFrom(w, 53)
			g.begin(from, to)
			for _, first := range []int{8, 16, 24, 32, 64, 80} {
				text := fmt.Sprintf("cut after %d.", first)
				p := lab.ICMPPacket(a, w, types[0], 0, [4]byte{}, append(lab.UDPPacket(to, from, ""), strings.Repeat(text, 20)...))
				got := g.arrives(g.world, text, func(marker string) error {
					parts := fragments(p, first)
					return g.a.SendPackets(parts[0], parts[1], lab.UDPPacket(netip.AddrPortFrom(g.a.Addr4(), 4000), netip.AddrPortFrom(g.world.Addr4(), markerPort), marker))
				})
				if got {
					g.Errorf("family %d: %s arrives", family, text)
				}
			}
		}
	})
}

// TestErrorsToTheNode has a pod tell the node errors about the node's own connections.
func TestErrorsToTheNode(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		for family, types := range errorTypes {
			node := []netip.Addr{guardNode4, guardNode6}[family]
			from, to := netip.AddrPortFrom(node, 5000), netip.AddrPortFrom(addrOf(g.world, family), 53)
			g.begin(from, to)
			g.must(g.a.SendPackets(lab.ICMPPacket(addrOf(g.a, family), node, types[0], 3, [4]byte{}, lab.UDPPacket(from, to, ""))))
			g.wants(dataplane.GuardICMPError, 1)
		}
	})
}

// TestOwnErrorsPass has pods say that a port is closed, or that a packet did not get on,
// about connections of which they are an end: to the world, to another pod, to the node, and
// through a translated address.
func TestOwnErrorsPass(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		stockNFT(g.T, g.lab, `table inet services {
			chain prerouting { type nat hook prerouting priority dstnat; ip daddr 172.31.255.1 udp dport 7000 dnat ip to 10.244.1.2:7; ip6 daddr fd00:7769:7265::1 udp dport 7000 dnat ip6 to [fd00:244::2]:7; };
			chain postrouting { type nat hook postrouting priority srcnat; ip saddr 192.0.2.10 masquerade; }; }`)
		g.policies(governs("pod == 'a'", bothWays, allowTo(policy.UDP, 7)))
		for family := range 2 {
			node := []netip.Addr{guardNode4, guardNode6}[family]
			a := netip.AddrPortFrom(addrOf(g.a, family), 7)
			for _, x := range []struct {
				what string
				from *lab.Host
				to   netip.AddrPort
			}{
				{"to the world", g.world, a}, {"to a pod", g.b, a}, {"to the node", g.lab.Node(), a}, {"to the world, through a service", g.world, netip.AddrPortFrom(node, 7000)},
			} {
				if err := g.refused(x.from, netip.AddrPort{}, x.to); err != nil {
					g.Errorf("family %d, %s: %v", family, x.what, err)
				}
			}
		}
		if err := g.refused(g.world, netip.MustParseAddrPort("192.0.2.10:6000"), netip.AddrPortFrom(g.a.Addr4(), 7)); err != nil {
			g.Errorf("to a client whose address is translated: %v", err)
		}
		g.wants(dataplane.GuardICMPError, 0)
	})
}

// refused checks that who sends to a closed port hears that it is closed.
func (g *guardLab) refused(h *lab.Host, from, to netip.AddrPort) error {
	c, err := h.DialFrom(context.Background(), "udp", from, to)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		// Hosts tell so many errors a second, and no more.
		if _, err := c.Write([]byte("anybody?")); err != nil {
			if errors.Is(err, unix.ECONNREFUSED) {
				return nil
			}
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := c.Read(make([]byte, 100)); errors.Is(err, unix.ECONNREFUSED) {
			return nil
		}
	}
	return errors.New("no word of it")
}

// TestPathMTU has pods whose egress policy allows one port only send more than the way
// takes: the node says so, and the pod hears it, for a translated address as well.
func TestPathMTU(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		const mtu, port, size = 1300, 8080, 200_000
		g.must(g.lab.Node().Do(func() error {
			nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer nl.Close()
			l, err := nl.LinkByName(g.world.Interface())
			if err != nil {
				return err
			}
			return nl.LinkSetMTU(l, mtu)
		}))
		stockNFT(g.T, g.lab, `table inet services { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.7 tcp dport 80 dnat ip to 192.0.2.9:8080; ip6 daddr fd96::7 tcp dport 80 dnat ip6 to [2001:db8::9]:8080; }; }`)
		g.policies(governs("pod == 'a'", bothWays, allowTo(policy.TCP, port)))
		for family, service := range []string{"10.96.0.7:80", "[fd96::7]:80"} {
			w := netip.AddrPortFrom(addrOf(g.world, family), port)
			listener, err := g.world.Listen("tcp", w.String())
			g.must(err)
			defer func() { _ = listener.Close() }()
			for _, to := range []string{w.String(), service} {
				g.carries(g.a, to, listener, size, 0) // the world would have to know what its own link takes
			}
		}
		g.wants(dataplane.GuardICMPError, 0)
	})
}

// carries checks that so many bytes get from a host to a listener, by an address, and so many back.
func (g *guardLab) carries(from *lab.Host, to string, listener net.Listener, size, back int) {
	g.Helper()
	got := make(chan int64, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		n, _ := io.CopyN(io.Discard, c, int64(size))
		got <- n
		_, _ = c.Write(make([]byte, back))
	}()
	c, err := from.DialContext(context.Background(), "tcp", to)
	g.must(err)
	defer func() { _ = c.Close() }()
	g.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
	if _, err = c.Write(make([]byte, size)); err != nil {
		g.Errorf("%s: %v", to, err)
	}
	if n := <-got; n != int64(size) {
		g.Errorf("%s: %d of %d bytes arrive", to, n, size)
	}
	if n, err := io.CopyN(io.Discard, c, int64(back)); err != nil {
		g.Errorf("%s: %d of %d bytes come back: %v", to, n, back, err)
	}
}

// TestErrorsOfRouters has a router of the world tell a pod of its connection, for a
// translated address as well.
func TestErrorsOfRouters(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		stockNFT(g.T, g.lab, `table ip services { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.7 udp dport 53 dnat to 192.0.2.9:53; }; }`)
		g.policies(governs("pod == 'a'", bothWays, allowTo(policy.UDP, 53)))
		router, a := netip.MustParseAddr("192.0.2.10"), g.a.Addr4()
		for i, asked := range []netip.AddrPort{netip.AddrPortFrom(g.world.Addr4(), 53), netip.MustParseAddrPort("10.96.0.7:53")} {
			from, to := netip.AddrPortFrom(a, uint16(5000+i)), netip.AddrPortFrom(g.world.Addr4(), 53)
			seen := g.capture(g.world)
			g.must(g.a.SendPackets(lab.UDPPacket(from, asked, "asks")))
			for {
				frame, err := seen.Next(20 * time.Second)
				g.must(err)
				if strings.Contains(string(frame), "asks") {
					break
				}
			}
			capture := g.capture(g.a)
			text := fmt.Sprintf("too big %d", i)
			g.must(g.world.SendPackets(lab.ICMPPacket(router, a, 3, 4, [4]byte{2: 4, 3: 0xb0}, lab.UDPPacket(from, to, text))))
			for {
				frame, err := capture.Next(20 * time.Second)
				g.must(err)
				if !strings.Contains(string(frame), text) {
					continue
				}
				if inner := frame[14+20+8:]; netip.AddrFrom4([4]byte(inner[16:20])) != asked.Addr() {
					g.Errorf("the pod hears of %v, and had asked %v", netip.AddrFrom4([4]byte(inner[16:20])), asked)
				}
				break
			}
		}
		g.wants(dataplane.GuardICMPError, 0)
	})
}
