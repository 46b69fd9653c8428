package nft

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// linkLocalOf returns the link-local address of an interface of a host.
func (g *guardLab) linkLocalOf(h *lab.Host, name string) (found netip.Addr) {
	g.Helper()
	g.must(h.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		l, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		list, err := nl.AddrList(l, unix.AF_INET6)
		for _, a := range list {
			if a.IP.IsLinkLocalUnicast() {
				found, _ = netip.AddrFromSlice(a.IP)
			}
		}
		return err
	}))
	if !found.IsValid() {
		g.Fatalf("%s has no link-local address at %s", h.Name(), name)
	}
	return found
}

// reaches reports whether a frame with a text arrives, before a marker that policy allows.
func (g *guardLab) reaches(from, to *lab.Host, text string, packet []byte, dst net.HardwareAddr) bool {
	g.Helper()
	return g.arrives(to, text, func(marker string) error {
		m := lab.UDPPacket(netip.AddrPortFrom(from.Addr4(), 4000), netip.AddrPortFrom(to.Addr4(), markerPort), marker)
		return from.SendFrames(lab.IPFrame(dst, packet), lab.IPFrame(g.mac[to], m))
	})
}

// TestLinkLocalBetweenPorts sends from and to link-local addresses between ports of one
// bridge: who is governed in that direction sends, or gets, nothing of it.
func TestLinkLocalBetweenPorts(t *testing.T) {
	g := newGuardLab(t, true, nil)
	a, b := g.linkLocalOf(g.a, "eth0"), g.linkLocalOf(g.b, "eth0")
	only := allowTo(policy.UDP, markerPort)
	for _, x := range []struct {
		name     string
		policies []*policy.Policy
		arrives  bool
	}{
		{"nobody is governed", nil, true},
		{"ingress of the receiver", []*policy.Policy{governs("pod == 'b'", []policy.Direction{policy.Ingress}, only)}, false},
		{"egress of the sender", []*policy.Policy{governs("pod == 'a'", []policy.Direction{policy.Egress}, only)}, false},
		{"egress of the receiver", []*policy.Policy{governs("pod == 'b'", []policy.Direction{policy.Egress}, only)}, true},
		{"ingress of the sender", []*policy.Policy{governs("pod == 'a'", []policy.Direction{policy.Ingress}, only)}, true},
		{"all of all", []*policy.Policy{governs("all()", bothWays, only)}, false},
		{"policy that allows everything", []*policy.Policy{governs("all()", bothWays, policy.Rule{Action: policy.Allow})}, true},
	} {
		g.policies(x.policies...)
		for _, pair := range [][2]netip.Addr{{a, b}, {g.a.Addr6(), b}} {
			text := x.name + ": from " + pair[0].String() + "."
			got := g.reaches(g.a, g.b, text, lab.UDPPacket(netip.AddrPortFrom(pair[0], 4000), netip.AddrPortFrom(pair[1], 9999), text), g.mac[g.b])
			if got != x.arrives {
				g.Errorf("%s: arrives %v", text, got)
			}
		}
		if !x.arrives {
			g.wants(dataplane.GuardLinkLocal, 2)
		}
		g.countAnew() // what b has answered
	}
	// A governed pod finds its neighbours by their link-local addresses all the same.
	g.policies(governs("all()", bothWays, allowTo(policy.TCP, 80)))
	g.forgetNeighbours()
	g.probe(policy.Flow{Src: g.a.Addr6(), Dst: g.b.Addr6(), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
}

// TestLinkLocalToTheHost sends to the host's link-local address, which is as from a pod.
func TestLinkLocalToTheHost(t *testing.T) {
	for name, toHost := range map[string]policy.Action{"Drop": policy.Deny, "Accept": policy.Allow} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(o *Options) { o.Host.EndpointToHost = toHost }, func(g *guardLab) {
				iface := "cni0"
				if !g.bridge {
					iface = g.a.Interface()
				}
				a, node := g.linkLocalOf(g.a, "eth0"), g.linkLocalOf(g.lab.Node(), iface)
				server, err := g.lab.Node().ListenPacket("udp6", "[::]:9999")
				g.must(err)
				defer func() { _ = server.Close() }()
				to := netip.AddrPortFrom(node, 9999)
				g.must(g.a.SendFrames(lab.IPFrame(g.nodeMAC, lab.UDPPacket(netip.AddrPortFrom(a, 4000), to, "link-local")),
					lab.IPFrame(nil, lab.UDPPacket(netip.AddrPortFrom(a, 4000), netip.AddrPortFrom(netip.MustParseAddr("ff02::1"), 9999), "to all"))))
				if toHost == policy.Deny {
					g.wants(dataplane.GuardLinkLocal, 2)
				} else {
					g.expectText(server, "link-local")
					g.expectText(server, "to all")
					g.wants(dataplane.GuardLinkLocal, 0)
				}
				g.forgetNeighbours()
				g.probe(policy.Flow{Src: g.a.Addr6(), Dst: g.world.Addr6(), Protocol: policy.TCP, DstPort: 80}, lab.Allowed)
			})
		})
	}
}

// expectText reads what comes next.
func (g *guardLab) expectText(c net.PacketConn, want string) {
	g.Helper()
	g.must(c.SetReadDeadline(time.Now().Add(20 * time.Second)))
	b := make([]byte, 2000)
	if n, _, err := c.ReadFrom(b); err != nil || string(b[:n]) != want {
		g.Errorf("got %q, %v, want %q", b[:n], err, want)
	}
}

// TestGroupsAndBroadcasts sends to groups, to everybody, and to addresses that are not the
// receiver's, between ports of one bridge: whose ingress is governed gets none of it.
func TestGroupsAndBroadcasts(t *testing.T) {
	g := newGuardLab(t, true, nil)
	only := allowTo(policy.UDP, markerPort)
	n := uint64(0)
	for name, governed := range map[string]bool{"free": false, "governed": true} {
		if g.policies(); governed {
			g.policies(governs("pod == 'b'", []policy.Direction{policy.Ingress}, only))
		}
		for _, to := range []string{"10.244.1.255", "255.255.255.255", "224.0.0.1", "224.0.0.251", "239.1.2.3", "10.244.1.4", "192.0.2.55", "ff02::1", "ff02::fb", "ff05::7", "fd00:244::4"} {
			dst := netip.MustParseAddr(to)
			src := g.a.Addr4()
			if dst.Is6() {
				src = g.a.Addr6()
			}
			for _, mac := range []net.HardwareAddr{nil, g.mac[g.b]} {
				text := name + " " + to + " by " + mac.String() + "."
				got := g.reaches(g.a, g.b, text, lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 9999), text), mac)
				if got == governed {
					g.Errorf("%s: arrives %v", text, got)
				}
				if governed {
					n++
				}
			}
		}
	}
	g.wants(dataplane.GuardDestination, n)
	// What the host itself sends to all arrives, and so do questions by ARP.
	server, err := g.b.ListenPacket("udp4", "0.0.0.0:9999")
	g.must(err)
	defer func() { _ = server.Close() }()
	g.must(g.lab.Node().SendPackets(lab.UDPPacket(netip.MustParseAddrPort("10.244.1.1:4000"), netip.MustParseAddrPort("10.244.1.255:9999"), "from the host")))
	g.expectText(server, "from the host")
	g.wants(dataplane.GuardDestination, 0)
}

// TestDHCPIsPolicys has a pod ask other ports of its bridge for an address, which its egress
// policy decides.
func TestDHCPIsPolicys(t *testing.T) {
	g := newGuardLab(t, true, nil)
	for name, rules := range map[string][]policy.Rule{
		"allowed": {allowTo(policy.UDP, 67), allowTo(policy.UDP, markerPort)}, "denied": {allowTo(policy.UDP, markerPort)},
	} {
		g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, rules...))
		text := "discover, " + name
		got := g.reaches(g.a, g.b, text, lab.UDPPacket(netip.MustParseAddrPort("0.0.0.0:68"), netip.AddrPortFrom(everybody4, 67), text), nil)
		if got != (name == "allowed") {
			g.Errorf("%s: arrives %v", text, got)
		}
	}
	g.wants(dataplane.GuardSource, 0)
}

// TestDHCPToTheNode has a pod ask its own node for an address: Calico's egress policy decides, and
// Kubernetes' own denies nothing there.
func TestDHCPToTheNode(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		server, err := g.lab.Node().ListenPacket("udp4", "0.0.0.0:67")
		g.must(err)
		defer func() { _ = server.Close() }()
		send := func(text string) {
			g.must(g.a.SendFrames(lab.IPFrame(nil, lab.UDPPacket(netip.MustParseAddrPort("0.0.0.0:68"), netip.AddrPortFrom(everybody4, 67), text))))
		}
		kubernetes := governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.TCP, 80))
		kubernetes.Key.Kind = policy.KindKubernetesNetworkPolicy
		for i, x := range []struct {
			policy  *policy.Policy
			arrives bool
		}{
			{governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.TCP, 80)), false},
			{governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, 67)), true},
			{kubernetes, true},
			{governs("pod == 'a'", []policy.Direction{policy.Ingress}), true},
		} {
			g.policies(x.policy)
			text := fmt.Sprint("discover ", i)
			send(text)
			g.policies() // what comes now is let by, so that it tells what was dropped before
			send("last " + text)
			if x.arrives {
				g.expectText(server, text)
			}
			g.expectText(server, "last "+text)
		}
	})
}

// TestLinkLocalToAGovernedNode has the pod's own egress policy about its node close what it
// sends from its link-local address, and open it again.
func TestLinkLocalToAGovernedNode(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		iface := "cni0"
		if !g.bridge {
			iface = g.a.Interface()
		}
		p := lab.UDPPacket(netip.AddrPortFrom(g.linkLocalOf(g.a, "eth0"), 4000), netip.AddrPortFrom(g.linkLocalOf(g.lab.Node(), iface), 9999), "link-local")
		server, err := g.lab.Node().ListenPacket("udp6", "[::]:9999")
		g.must(err)
		defer func() { _ = server.Close() }()
		for range 2 {
			g.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.TCP, 80)))
			g.must(g.a.SendFrames(lab.IPFrame(g.nodeMAC, p)))
			g.wants(dataplane.GuardLinkLocal, 1)
			g.policies()
			g.must(g.a.SendFrames(lab.IPFrame(g.nodeMAC, p)))
			g.expectText(server, "link-local")
			g.wants(dataplane.GuardLinkLocal, 0)
		}
	})
}
