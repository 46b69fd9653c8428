package nft

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// guardLab is a node with three pods, on one bridge or with links of their own, and the
// world beyond an uplink. Guards are tried with frames and packets as they are on the wire.
type guardLab struct {
	*testing.T
	lab            *lab.Lab
	node           *lab.Host
	name           string // of the node, in the model
	a, b, c, world *lab.Host
	bridge         bool
	options        Options
	dataplane      *Dataplane
	engine         *engine.Engine
	model          *policy.Model
	known          dataplane.AntiSpoofing
	mac            map[*lab.Host]net.HardwareAddr
	nodeMAC        net.HardwareAddr
	dropped        map[dataplane.Guard]uint64 // counted so far
	captures       map[*lab.Host]*lab.Capture
	markers        int
	note           string // what wants is about
}

var (
	guardNode4 = netip.MustParseAddr("172.31.255.1")
	guardNode6 = netip.MustParseAddr("fd00:7769:7265::1")
)

// newGuardLab makes it; set changes the options.
func newGuardLab(t *testing.T, bridge bool, set func(*Options)) *guardLab {
	l := newLab(t)
	g := &guardLab{
		T: t, lab: l, node: l.Node(), name: "node-a", bridge: bridge, mac: map[*lab.Host]net.HardwareAddr{}, dropped: map[dataplane.Guard]uint64{},
		captures: map[*lab.Host]*lab.Capture{}, model: &policy.Model{},
	}
	if bridge {
		g.must(g.lab.AddBridge(lab.BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{
			netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244::1/64"),
		}}))
		g.netfilterBridges(true)
	}
	for i, h := range []**lab.Host{&g.a, &g.b, &g.c} {
		cfg := lab.HostConfig{Name: []string{"a", "b", "c"}[i], Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 244, 1, byte(2 + i)}), netip.MustParseAddr([]string{"fd00:244::2", "fd00:244::3", "fd00:244::4"}[i]),
		}}
		if bridge {
			cfg.Bridge = "cni0"
		}
		var err error
		*h, err = g.lab.AddHost(cfg)
		g.must(err)
		mac, err := (*h).MAC()
		g.must(err)
		g.mac[*h] = mac
		link := dataplane.Link{Index: g.nodeInterface((*h).Interface()).Index, Port: bridge, Addrs: (*h).Addrs(), MAC: mac}
		if bridge {
			link.Bridge = g.nodeInterface("cni0").Index
		} else {
			g.nodeMAC = g.nodeInterface((*h).Interface()).HardwareAddr
		}
		g.known.Links = append(g.known.Links, link)
		g.model.Endpoints = append(g.model.Endpoints, &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: cfg.Name}, Node: g.name, Profiles: []string{"kns.ns"},
			Addrs: cfg.Addrs, Labels: selector.Labels{{Key: "pod", Value: cfg.Name}},
		})
	}
	if bridge { // which takes its address from its ports
		g.nodeMAC = g.nodeInterface("cni0").HardwareAddr
	}
	g.known.NodeAddrs = []netip.Addr{guardNode4, guardNode6, netip.MustParseAddr("192.0.2.10")}
	g.world = addHost(t, g.lab, "world", "192.0.2.9", "192.0.2.10", "2001:db8::9")
	g.model.Host.EndpointToHost = policy.Allow
	g.options = Options{NetNS: nodeNS(g.lab), Host: dataplane.HostSettings{HostSettings: g.model.Host}}
	if set != nil {
		set(&g.options)
		g.model.Host = g.options.Host.HostSettings
	}
	g.start()
	return g
}

func (g *guardLab) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// netfilterBridges has packets between ports meet the rules for IP, or not.
func (g *guardLab) netfilterBridges(on bool) {
	text := map[bool]string{true: "1", false: "0"}[on]
	for _, file := range []string{"iptables", "ip6tables"} {
		err := g.node.Do(func() error { return os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+file, []byte(text), 0) })
		if os.IsNotExist(err) && os.Getenv("CI") != "true" {
			g.Skip("SKIPPED: this kernel has no br_netfilter")
		}
		g.must(err)
	}
}

func (g *guardLab) nodeInterface(name string) (i *net.Interface) {
	g.Helper()
	g.must(g.node.Do(func() (err error) {
		i, err = net.InterfaceByName(name)
		return err
	}))
	return i
}

// start makes a dataplane, and brings everything into force.
func (g *guardLab) start() {
	g.Helper()
	b, err := New(g.options)
	g.must(err)
	g.Cleanup(func() { _ = b.Close() })
	g.dataplane, g.engine = b, onNode(g.name)
	g.must(b.SetAntiSpoofing(context.Background(), g.known))
	g.engine.Apply(modeltest.Changes(nil, g.model)...)
	apply(g.T, b, g.engine.Flush())
	g.same()
}

// same checks that the kernel has what was written.
func (g *guardLab) same() {
	g.Helper()
	if d, err := g.dataplane.Check(context.Background()); err != nil || len(d.Findings) > 0 {
		g.Errorf("the kernel differs: %q, %v", d.Findings, err)
	}
}

// policies brings policies into force in the place of those before.
func (g *guardLab) policies(list ...*policy.Policy) {
	g.Helper()
	next := *g.model
	next.Policies = list
	for i, p := range next.Policies {
		p.Key.Name, p.Tier = "p"+string(rune('a'+i)), "default"
	}
	if len(next.Tiers) == 0 {
		next.Tiers = policy.FixedTiers()
	}
	g.engine.Apply(modeltest.Changes(g.model, &next)...)
	g.model = &next
	if d := g.engine.Flush(); d != nil {
		apply(g.T, g.dataplane, d)
	}
	g.same()
}

// governs is a policy of the pods of a selector in some directions.
func governs(sel string, dirs []policy.Direction, rules ...policy.Rule) *policy.Policy {
	p := &policy.Policy{Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy}, Selector: selector.MustParse(sel)}
	for _, dir := range dirs {
		p.Types[dir], p.Rules[dir] = true, rules
	}
	return p
}

// allowTo is a rule that allows a protocol to a port; 0 is any.
func allowTo(protocol policy.Protocol, port uint16) policy.Rule {
	r := policy.Rule{Action: policy.Allow, Protocol: &protocol}
	if port != 0 {
		r.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}
	}
	return r
}

// capture begins to take what arrives at a host.
func (g *guardLab) capture(h *lab.Host) *lab.Capture {
	g.Helper()
	if g.captures[h] == nil {
		c, err := h.Capture()
		g.must(err)
		g.Cleanup(func() { _ = c.Close() })
		g.captures[h] = c
	}
	return g.captures[h]
}

// arrives reports whether a text is in a frame that arrives at a host before a marker
// does, which is sent after it on the same way: send has to send both, in this order.
func (g *guardLab) arrives(h *lab.Host, text string, send func(marker string) error) bool {
	g.Helper()
	c := g.capture(h)
	g.markers++
	marker := strings.Repeat("=", 4) + "marker " + string(rune('A'+g.markers%26)) + text
	g.must(send(marker))
	there := false
	for deadline := time.Now().Add(20 * time.Second); ; {
		frame, err := c.Next(time.Until(deadline))
		if err != nil {
			g.Fatalf("the marker did not arrive: %v", err)
		}
		switch {
		case strings.Contains(string(frame), marker):
			return there
		case strings.Contains(string(frame), text):
			there = true
		}
	}
}

// knows tells the dataplane what is known of interfaces. The table for bridges may be a new
// one then, which has counted nothing.
func (g *guardLab) knows(known dataplane.AntiSpoofing) {
	g.Helper()
	g.must(g.dataplane.SetAntiSpoofing(context.Background(), known))
	g.same()
	g.countAnew()
}

// countAnew has what guards have dropped so far be nothing to the test.
func (g *guardLab) countAnew() {
	g.Helper()
	counters, err := g.dataplane.GuardCounters(context.Background())
	g.must(err)
	for _, c := range counters {
		g.dropped[c.Guard] = c.Packets
	}
}

// hasDropped returns how many packets a guard has dropped since it was last asked.
func (g *guardLab) hasDropped(guard dataplane.Guard) uint64 {
	g.Helper()
	before := g.dropped[guard]
	g.countAnew()
	return g.dropped[guard] - before
}

// wants checks that a guard has dropped so many packets more, and no other any.
func (g *guardLab) wants(guard dataplane.Guard, more uint64) {
	g.Helper()
	var got map[dataplane.Guard]uint64
	ok := func() bool {
		counters, err := g.dataplane.GuardCounters(context.Background())
		g.must(err)
		got = map[dataplane.Guard]uint64{}
		for _, c := range counters {
			if n := c.Packets - g.dropped[c.Guard]; n > 0 {
				got[c.Guard] = n
			}
		}
		return got[guard] >= more
	}
	for deadline := time.Now().Add(10 * time.Second); !ok() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	for name, n := range got {
		if name != guard {
			g.Errorf("%s: guard %s has dropped %d", g.note, name, n)
		}
		g.dropped[name] += n
	}
	if got[guard] != more {
		g.Errorf("%s: guard %s has dropped %d, want %d", g.note, guard, got[guard], more)
	}
}

// probe checks what becomes of a connection.
func (g *guardLab) probe(f policy.Flow, want lab.Verdict) {
	g.Helper()
	if out := g.lab.Probe(context.Background(), f, 0); out.Verdict != want {
		g.Errorf("%s: %v (%s), want %v", flowText(f), out.Verdict, out.Detail, want)
	}
}

// addrOf returns the address of a host in a family.
func addrOf(h *lab.Host, family int) netip.Addr {
	if family == 0 {
		return h.Addr4()
	}
	return h.Addr6()
}

// onBoth runs a test with pods on a bridge, and with pods that have links of their own.
func onBoth(t *testing.T, set func(*Options), f func(*guardLab)) {
	for name, bridge := range map[string]bool{"routed": false, "bridge": true} {
		t.Run(name, func(t *testing.T) { f(newGuardLab(t, bridge, set)) })
	}
}
