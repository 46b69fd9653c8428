package hostlink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the tests skip
	}
	os.Exit(m.Run())
}

// node is a lab's node with a Finder in it.
type node struct {
	t   *testing.T
	lab *lab.Lab
	f   *Finder
}

func newNode(t *testing.T) *node {
	t.Helper()
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, lab: l}
	n.do(func() (err error) { n.f, err = Open(); return err })
	t.Cleanup(func() {
		n.f.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) do(f func() error) {
	n.t.Helper()
	if err := n.lab.Node().Do(f); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) host(name, bridge string, list ...string) *lab.Host {
	n.t.Helper()
	h, err := n.lab.AddHost(lab.HostConfig{Name: name, Addrs: addrs(list...), Bridge: bridge})
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

func (n *node) bridge() {
	n.t.Helper()
	err := n.lab.AddBridge(lab.BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{
		netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244::1/64"),
	}})
	if err != nil {
		n.t.Fatal(err)
	}
}

// ip runs changes of the node's routing configuration.
func (n *node) ip(f func(h *netlink.Handle) error) {
	n.t.Helper()
	n.do(func() error { return f(n.f.handle) })
}

func (n *node) find(endpoints ...Endpoint) Result {
	n.t.Helper()
	var r Result
	n.do(func() (err error) { r, err = n.f.Find(endpoints); return err })
	return r
}

// until finds until there is something for everyone.
func (n *node) until(endpoints ...Endpoint) Result {
	n.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		r := n.find(endpoints...)
		if len(r.Links) == len(endpoints) {
			return r
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("not found within 20 s: %v", r.Unknown)
		}
		time.Sleep(time.Millisecond)
	}
}

// labHost describes a host with an interface of a name of its own, at 192.0.2.1, or at 2001:db8::1 if that is asked for.
func labHost(name, link, asked string) lab.HostConfig {
	cfg := lab.HostConfig{Name: name, Addrs: addrs("192.0.2.1"), Interface: link}
	if asked == "2001:db8::1" {
		cfg.Addrs = addrs(asked)
	}
	return cfg
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func key(name string) policy.Key { return policy.Key{Kind: "Pod", Namespace: "ns", Name: name} }

func pod(name string, list ...string) Endpoint {
	return Endpoint{Key: key(name), Addrs: addrs(list...)}
}

// want compares links without their numbers, which it checks against the names.
func (n *node) want(r Result, links []Link, unknown ...string) {
	n.t.Helper()
	for _, l := range r.Links {
		n.do(func() error {
			i, err := net.InterfaceByName(l.Name)
			if err == nil && i.Index != l.Index {
				err = fmt.Errorf("%s has number %d, not %d", l.Name, i.Index, l.Index)
			}
			return err
		})
	}
	same := []cmp.Option{cmpopts.IgnoreFields(Link{}, "Index", "BridgeIndex", "MAC"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(links, r.Links, same...); diff != "" {
		n.t.Errorf("links (-want +got):\n%s", diff)
	}
	var got []string
	for _, u := range r.Unknown {
		got = append(got, u.Key.Name+": "+u.Reason)
	}
	if len(got) != len(unknown) {
		n.t.Errorf("unknown: %q, want %q", got, unknown)
		return
	}
	for i := range got {
		if !strings.Contains(got[i], unknown[i]) {
			n.t.Errorf("unknown: %q, want %q", got[i], unknown[i])
		}
	}
}

func TestRouted(t *testing.T) {
	n := newNode(t)
	web := n.host("web", "", "10.0.0.2", "fd00::2")
	db := n.host("db", "", "10.0.0.3")
	webPod, dbPod := pod("web", "10.0.0.2", "fd00::2"), pod("db", "10.0.0.3")
	both := []Link{{Key: key("db"), Name: db.Interface(), Addrs: dbPod.Addrs}, {Key: key("web"), Name: web.Interface(), Addrs: webPod.Addrs}}
	n.want(n.find(webPod, dbPod), both)

	// A pod that nothing leads to, the node itself, no address.
	n.want(n.find(webPod, dbPod, pod("far", "10.9.9.9"), pod("host", "172.31.255.1"), pod("new")), both,
		"far: there is no route to 10.9.9.9", "host: 172.31.255.1 is the host's own", "new: it has no address")

	// What is named is taken; what is not there is said.
	named := webPod
	named.Interface = web.Interface()
	gone := dbPod
	gone.Interface = "veth-none"
	n.want(n.find(named, gone), both[1:], "db: there is no interface veth-none")

	// One interface for two pods is none of either.
	other := pod("other", "10.0.0.9")
	other.Interface = web.Interface()
	n.want(n.find(webPod, dbPod, other), both[:1], "other: interface tw1 leads to several: ns/other, ns/web", "web: interface tw1 leads to several: ns/other, ns/web")
}

// TestPolicyRouting has the way to a pod in a table of its own, as AWS VPC has it.
func TestPolicyRouting(t *testing.T) {
	n := newNode(t)
	web := n.host("web", "", "10.0.0.2")
	n.ip(func(h *netlink.Handle) error {
		l, err := h.LinkByName(web.Interface())
		if err != nil {
			return err
		}
		dst := &net.IPNet{IP: net.IPv4(10, 77, 0, 5).To4(), Mask: net.CIDRMask(32, 32)}
		if err := h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Table: 7, Scope: unix.RT_SCOPE_LINK}); err != nil {
			return err
		}
		rule := netlink.NewRule()
		rule.Dst, rule.Table, rule.Priority, rule.Family = dst, 7, 512, unix.AF_INET
		return h.RuleAdd(rule)
	})
	eni := pod("eni", "10.77.0.5", "10.0.0.2")
	n.want(n.find(eni), []Link{{Key: key("eni"), Name: web.Interface(), Addrs: eni.Addrs}})
}

// TestOtherTables has the way to a pod in a table that the host's own packets do not use: AWS VPC, pods with security groups.
func TestOtherTables(t *testing.T) {
	n := newNode(t)
	web := n.host("web", "", "10.0.0.2")
	db := n.host("db", "", "10.0.0.3")
	only := func(table int, to string, link *lab.Host) {
		n.ip(func(h *netlink.Handle) error {
			l, err := h.LinkByName(link.Interface())
			if err != nil {
				return err
			}
			dst := &net.IPNet{IP: net.ParseIP(to), Mask: net.CIDRMask(32, 32)}
			if strings.Contains(to, ":") {
				dst.Mask = net.CIDRMask(128, 128)
			}
			return h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Table: table})
		})
	}
	only(101, "10.77.0.5", web)
	only(101, "fd00:77::5", web)
	eni := pod("eni", "10.77.0.5", "fd00:77::5", "10.0.0.2")
	n.want(n.find(eni), []Link{{Key: key("eni"), Name: web.Interface(), Addrs: eni.Addrs}})
	only(102, "10.77.0.6", web)
	only(103, "10.77.0.6", db)
	n.want(n.find(pod("two", "10.77.0.6")), nil, "two: tables of routes lead to 10.77.0.6 by interfaces tw1 and tw2")
}

// TestUplinks has routes by way of interfaces that are not a pod's own.
func TestUplinks(t *testing.T) {
	n := newNode(t)
	up := n.host("up", "", "192.0.2.1", "2001:db8::1")
	n.ip(func(h *netlink.Handle) error {
		l, err := h.LinkByName(up.Interface())
		if err != nil {
			return err
		}
		for _, r := range []netlink.Route{
			{Dst: &net.IPNet{IP: net.IPv4(10, 244, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}, Gw: net.IPv4(192, 0, 2, 1), Flags: int(netlink.FLAG_ONLINK)},
			{Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Gw: net.IPv4(192, 0, 2, 1), Flags: int(netlink.FLAG_ONLINK)},
			{Dst: &net.IPNet{IP: net.IPv4(10, 50, 0, 0).To4(), Mask: net.CIDRMask(24, 32)}, Scope: unix.RT_SCOPE_LINK},
		} {
			r.LinkIndex = l.Attrs().Index
			if err := h.RouteAdd(&r); err != nil {
				return fmt.Errorf("route to %v: %w", r.Dst, err)
			}
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "here0"
		if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "here1"}); err != nil {
			return err
		}
		here, err := h.LinkByName("here0")
		if err == nil {
			err = h.LinkSetUp(here)
		}
		if err == nil {
			err = h.RouteAdd(&netlink.Route{LinkIndex: here.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 60, 0, 1).To4(), Mask: net.CIDRMask(32, 32)}, Scope: unix.RT_SCOPE_LINK})
		}
		return err
	})
	lo := pod("lo", "10.1.1.1")
	lo.Interface = "lo"
	n.want(n.find(pod("default", "10.9.9.9"), pod("direct", "10.50.0.7"), pod("other", "10.244.2.7"), pod("here", "10.60.0.1"), lo), nil,
		"default: there is no route to 10.9.9.9 but the default route",
		"direct: there is no route to 10.50.0.7 alone, but to the whole of 10.50.0.0/24 by interface tw1",
		"here: interface here0 ends on this host",
		"lo: interface lo is a device",
		"other: the route to 10.244.2.7 leads to a gateway")
}

func TestBridge(t *testing.T) {
	n := newNode(t)
	n.bridge()
	web := n.host("web", "cni0", "10.244.1.2", "fd00:244::2")
	db := n.host("db", "cni0", "10.244.1.3")
	webPod, dbPod := pod("web", "10.244.1.2", "fd00:244::2"), pod("db", "10.244.1.3")
	want := []Link{
		{Key: key("db"), Name: db.Interface(), Bridge: "cni0", Addrs: dbPod.Addrs},
		{Key: key("web"), Name: web.Interface(), Bridge: "cni0", Addrs: webPod.Addrs},
	}
	// Nobody has spoken yet: the kernel is asked to find them.
	n.want(n.until(webPod, dbPod), want)

	// The bridge is made to believe that db's address is where web is: what was found stays.
	n.ip(func(h *netlink.Handle) error {
		br, err := h.LinkByName("cni0")
		if err != nil {
			return err
		}
		neighbours, err := h.NeighList(br.Attrs().Index, unix.AF_INET)
		if err != nil {
			return err
		}
		for _, n := range neighbours {
			if n.IP.String() == "10.244.1.2" {
				n.IP, n.State = net.IPv4(10, 244, 1, 3), unix.NUD_REACHABLE
				return h.NeighSet(&n)
			}
		}
		return fmt.Errorf("no neighbour 10.244.1.2")
	})
	n.want(n.find(webPod, dbPod), want)
	// A pod that was not found before gets no port that is another's.
	l := n.find(webPod).Links[0]
	n.f.pins = map[policy.Key]pin{key("web"): {webPod.Addrs, l.Index, l.BridgeIndex, l.MAC}}
	n.want(n.find(webPod, dbPod), want[1:], "db: bridge cni0 has 10.244.1.3 at port tw1, which is that of ns/web")

	// A pod that comes back elsewhere is looked for anew.
	if err := n.lab.Remove(web); err != nil {
		t.Fatal(err)
	}
	web = n.host("web", "cni0", "10.244.1.2")
	want[1].Name, want[1].Addrs = web.Interface(), addrs("10.244.1.2")
	n.want(n.until(pod("web", "10.244.1.2")), want[1:])
}

func TestBypass(t *testing.T) {
	n := newNode(t)
	n.bridge()
	n.host("web", "cni0", "10.244.1.2")
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("SKIPPED: this kernel has no br_netfilter")
	}
	set := func(value string) {
		n.do(func() error {
			return os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte(value), 0)
		})
	}
	set("0")
	r := n.until(pod("web", "10.244.1.2"))
	if len(r.Bypass) != 1 || !strings.Contains(r.Bypass[0].String(), "IPv4 packets between pods on bridge cni0 bypass policy: load the kernel module br_netfilter and set net.bridge.bridge-nf-call-iptables=1") {
		t.Errorf("got %v", r.Bypass)
	}
	set("1")
	if r := n.find(pod("web", "10.244.1.2")); len(r.Bypass) != 0 {
		t.Errorf("got %v", r.Bypass)
	}
	if r := n.find(); len(r.Bypass) != 0 {
		t.Errorf("without pods: %v", r.Bypass)
	}
}

func TestWatch(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	changes, done := make(chan bool, 1000), make(chan error, 1)
	go func() {
		done <- n.lab.Node().Do(func() error {
			return n.f.Watch(ctx, func(neighboursOnly bool) { changes <- neighboursOnly })
		})
	}()
	next := func(what string) bool {
		t.Helper()
		select {
		case c := <-changes:
			return c
		case <-time.After(20 * time.Second):
			t.Fatalf("not within 20 s: %s", what)
			return false
		}
	}
	next("it watches")
	n.host("web", "", "10.0.0.2")
	if next("a link") {
		t.Error("a new link counts as a neighbour")
	}
	for len(changes) > 0 {
		<-changes
	}
	n.bridge()
	n.host("db", "cni0", "10.244.1.3")
	for !next("a neighbour") {
		n.find(pod("db", "10.244.1.3"))
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("at the end: %v", err)
	}
}
