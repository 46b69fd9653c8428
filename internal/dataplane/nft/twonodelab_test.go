package nft

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// twoNodes is a cluster of two nodes, each with tables of its own that know what its agent
// knows. Pods a and b are on the first, c and d on the second. The nodes are on one net, with
// its router and an outsider. In numbers, with n for the node:
//
//	the net between them   192.168.50.n      fd50::n       outsider 9, router 254 (fe)
//	pods                   10.244.n.2, .3    fd00:244:n::2, ::3
//	bridge of the pods     10.244.n.1        fd00:244:n::1
//	overlay                10.245.0.n        fd00:245::n
//	another, on lo         198.18.0.n        fd18::n
type twoNodes struct {
	*testing.T
	lab        *lab.Lab
	shape      shape
	one, two   *guardLab
	a, b, c, d *lab.Host
	outsider   *lab.Host
}

// shape is how pods and nodes are connected.
type shape struct {
	bridge  bool
	overlay overlay // nil: packets of pods go over the net between the nodes as they are
}

func (s shape) String() string {
	name := "routed"
	if s.bridge {
		name = "bridge"
	}
	if s.overlay != nil {
		return name + ", " + s.overlay.name()
	}
	return name
}

// onTwoNodes runs a test over each overlay of a list, with pods on bridges and with links of
// their own.
func onTwoNodes(t *testing.T, overlays []overlay, f func(*twoNodes)) {
	for _, o := range overlays {
		for _, bridge := range []bool{false, true} {
			s := shape{bridge, o}
			t.Run(s.String(), func(t *testing.T) { f(newTwoNodes(t, s)) })
		}
	}
}

func newTwoNodes(t *testing.T, s shape) *twoNodes {
	t.Helper()
	n := &twoNodes{T: t, lab: newLab(t), shape: s}
	n.must(n.lab.AddBridge(lab.BridgeConfig{Name: "lan0", Gateways: prefixes("192.168.50.254/24", "fd50::fe/64")}))
	n.outsider = n.add(lab.HostConfig{Name: "outsider", Addrs: addrs("192.168.50.9", "fd50::9"), Bridge: "lan0"})
	captures, mac := map[*lab.Host]*lab.Capture{}, map[*lab.Host]net.HardwareAddr{}
	for i, pods := range [2][2]**lab.Host{{&n.a, &n.b}, {&n.c, &n.d}} {
		digit := string(rune('1' + i))
		g := &guardLab{T: t, lab: n.lab, name: "node-" + digit, bridge: s.bridge, mac: mac, captures: captures, dropped: map[dataplane.Guard]uint64{}}
		*[]**guardLab{&n.one, &n.two}[i] = g
		g.node = n.add(lab.HostConfig{Name: g.name, Addrs: addrs("192.168.50."+digit, "fd50::"+digit), Bridge: "lan0", Router: true})
		if s.bridge {
			n.must(n.lab.AddBridge(lab.BridgeConfig{Name: "cni0", Node: g.node, Gateways: prefixes("10.244."+digit+".1/24", "fd00:244:"+digit+"::1/64")}))
			g.netfilterBridges(true)
		}
		for j, pod := range pods {
			last := string(rune('2' + j))
			cfg := lab.HostConfig{Name: string(rune('a' + 2*i + j)), Addrs: addrs("10.244."+digit+"."+last, "fd00:244:"+digit+"::"+last), Node: g.node}
			if s.bridge {
				cfg.Bridge = "cni0"
			}
			*pod = n.add(cfg)
			link := g.nodeInterface((*pod).Interface())
			if g.nodeMAC = link.HardwareAddr; s.bridge {
				g.nodeMAC = g.nodeInterface("cni0").HardwareAddr
			}
			var err error
			mac[*pod], err = (*pod).MAC()
			n.must(err)
		}
	}
	n.connect()
	n.begin()
	return n
}

func (n *twoNodes) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *twoNodes) add(cfg lab.HostConfig) *lab.Host {
	n.Helper()
	h, err := n.lab.AddHost(cfg)
	n.must(err)
	return h
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func (n *twoNodes) nodes() [2]*guardLab { return [2]*guardLab{n.one, n.two} }

// digit is the one that stands for a node in addresses.
func (g *guardLab) digit() string { return g.name[len(g.name)-1:] }

// alias, overlayAddrs and podNets are addresses of a node beside that between nodes, by family.
func (g *guardLab) alias() []netip.Addr { return addrs("198.18.0."+g.digit(), "fd18::"+g.digit()) }

func (g *guardLab) overlayAddrs() []netip.Addr {
	return addrs("10.245.0."+g.digit(), "fd00:245::"+g.digit())
}

func (g *guardLab) podNets() []netip.Prefix {
	return prefixes("10.244."+g.digit()+".0/24", "fd00:244:"+g.digit()+"::/64")
}

// connect has everybody find everybody: pods of the other node over the overlay, if there is
// one, and all else over the net between the nodes.
func (n *twoNodes) connect() {
	n.Helper()
	for i, g := range n.nodes() {
		other := n.nodes()[1-i]
		for family := range familyDigit {
			n.must(addAddr(g.node, "lo", g.alias()[family]))
			others := []*lab.Host{n.lab.Node(), n.outsider, other.node}
			if n.shape.overlay != nil {
				others = others[:0]
			}
			for _, h := range others {
				n.must(h.Route(g.podNets()[family], addrOf(g.node, family)))
			}
			for _, h := range []*lab.Host{n.lab.Node(), n.outsider, other.node} {
				n.must(h.Route(netip.PrefixFrom(g.alias()[family], g.alias()[family].BitLen()), addrOf(g.node, family)))
			}
		}
		if n.shape.overlay != nil {
			n.shape.overlay.join(n, g, other)
		}
	}
}

// begin brings the tables of both nodes into force. What a node knows of the other is what
// its Node object says.
func (n *twoNodes) begin() {
	n.Helper()
	m := &policy.Model{Host: policy.HostSettings{EndpointToHost: policy.Allow}}
	for i, g := range n.nodes() {
		m.Nodes = append(m.Nodes, &policy.Node{Name: g.name, Addrs: g.node.Addrs()})
		for _, pod := range [2][]*lab.Host{{n.a, n.b}, {n.c, n.d}}[i] {
			m.Endpoints = append(m.Endpoints, &policy.Endpoint{
				Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: pod.Name()}, Node: g.name, Profiles: []string{"kns.ns"},
				Addrs: pod.Addrs(), Labels: selector.Labels{{Key: "pod", Value: pod.Name()}},
			})
		}
	}
	for _, g := range n.nodes() {
		g.model = m
		g.options = Options{NetNS: namespaceOf(g.node), Logger: slog.New(slog.DiscardHandler), Host: dataplane.HostSettings{HostSettings: m.Host}}
		g.known = n.knownTo(g)
		g.start()
	}
}

// knownTo returns what the agent of a node finds out.
func (n *twoNodes) knownTo(g *guardLab) (known dataplane.AntiSpoofing) {
	n.Helper()
	var pods []hostlink.Endpoint
	for _, ep := range g.model.Endpoints {
		if h := n.lab.Host(ep.Key.Name); ep.Node == g.name {
			pods = append(pods, hostlink.Endpoint{Key: ep.Key, Addrs: ep.Addrs, Interface: h.Interface(), MAC: g.mac[h]})
		}
	}
	var found hostlink.Result
	n.must(g.node.Do(func() error {
		finder, err := hostlink.Open()
		if err != nil {
			return err
		}
		defer finder.Close()
		found, err = finder.Find(pods)
		return err
	}))
	if len(found.Links) != len(pods) {
		n.Fatalf("interfaces of pods were not found: %+v", found.Unknown)
	}
	var objects []store.Resource
	for _, x := range n.nodes() {
		node := &corev1.Node{}
		for _, a := range x.node.Addrs() {
			node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
		}
		objects = append(objects, store.Resource{Object: node})
	}
	n.must(g.node.Do(func() error {
		known = antispoof.Known(component.Env{Node: g.name, Log: slog.New(slog.DiscardHandler)}, antispoof.Config{Check: true}, objects, &found)
		return nil
	}))
	return known
}

// policies brings policies into force on both nodes.
func (n *twoNodes) policies(list ...*policy.Policy) {
	n.Helper()
	for _, g := range n.nodes() {
		g.policies(list...)
	}
}

// restart changes the options of both nodes, and has their tables written anew.
func (n *twoNodes) restart(set func(*Options)) {
	n.Helper()
	for _, g := range n.nodes() {
		set(&g.options)
		g.start()
		g.countAnew()
	}
}

// reaches reports whether something that a host sends comes to a pod of the second node, before a marker
// that pod a sends after it.
func (n *twoNodes) reaches(to *lab.Host, family int, text string, send func() error) bool {
	n.Helper()
	return n.one.arrives(to, text, func(marker string) error {
		if err := send(); err != nil {
			return err
		}
		return n.a.SendPackets(lab.UDPPacket(netip.AddrPortFrom(addrOf(n.a, family), 4000), netip.AddrPortFrom(addrOf(to, family), markerPort), marker))
	})
}

// comes checks that something that is sent comes to a host.
func (n *twoNodes) comes(to *lab.Host, text string, send func() error) {
	n.Helper()
	c := n.one.capture(to)
	n.must(send())
	for deadline := time.Now().Add(20 * time.Second); ; {
		frame, err := c.Next(time.Until(deadline))
		if err != nil {
			n.Fatalf("%s does not come to %s: %v", text, to.Name(), err)
		}
		if strings.Contains(string(frame), text) {
			return
		}
	}
}

// routesOf runs f with the interfaces, addresses and routes of a host at hand.
func routesOf(h *lab.Host, f func(*netlink.Handle) error) error {
	return h.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		return f(nl)
	})
}

// addAddr gives an interface of a host an address.
func addAddr(h *lab.Host, name string, a netip.Addr) error {
	return routesOf(h, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		return nl.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD})
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
