package hostlink

import (
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeOf returns a route by its text: "10.0.0.0/8".
func routeOf(t *testing.T, to string, change ...func(*netlink.Route)) netlink.Route {
	t.Helper()
	_, dst, err := net.ParseCIDR(to)
	if err != nil {
		t.Fatal(err)
	}
	r := netlink.Route{Dst: dst}
	if dst.IP.To4() != nil {
		r.Scope = unix.RT_SCOPE_LINK
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func via(gateway string) func(*netlink.Route) {
	return func(r *netlink.Route) {
		r.Gw, r.Flags, r.Scope = net.ParseIP(gateway), int(netlink.FLAG_ONLINK), unix.RT_SCOPE_UNIVERSE
	}
}

func inTable(table int) func(*netlink.Route) { return func(r *netlink.Route) { r.Table = table } }

func by(protocol int) func(*netlink.Route) {
	return func(r *netlink.Route) { r.Protocol = netlink.RouteProtocol(protocol) }
}

// TestUplinkIsNoPods has routes by one interface, veth up0, which leads to 192.0.2.1 and 2001:db8::1 alone before. An
// endpoint is looked for: by its address, and by the word of a CNI plugin that takes the interface for its own.
func TestUplinkIsNoPods(t *testing.T) {
	const asked, asked6 = "192.0.2.1", "2001:db8::1"
	for _, tt := range []struct {
		name    string
		addr    string
		routes  []netlink.Route
		addrs   []string // of the node on the interface
		byRoute string   // why it is not found; "" if it is
		byCNI   string
	}{
		{name: "a pod's own"},
		{name: "a pod's own, IPv6", addr: asked6},
		{name: "the connected subnet", addr: "10.50.0.7", addrs: []string{"10.50.0.1/24"},
			byRoute: "there is no route to 10.50.0.7 alone, but to the whole of 10.50.0.0/24 by interface up0",
			byCNI:   "interface up0 leads to the whole of 10.50.0.0/24"},
		{name: "the connected subnet, IPv6", addr: "2001:db8:50::7", addrs: []string{"2001:db8:50::1/64"},
			byRoute: "there is no route to 2001:db8:50::7 alone, but to the whole of 2001:db8:50::/64 by interface up0",
			byCNI:   "interface up0 leads to the whole of 2001:db8:50::/64"},
		{name: "a route to the pod beside the connected subnet", addrs: []string{"192.0.2.2/24"},
			byRoute: "interface up0 leads to the whole of 192.0.2.0/24",
			byCNI:   "interface up0 leads to the whole of 192.0.2.0/24"},
		{name: "an address of the node, as ptp gives it", addrs: []string{"10.244.0.1/32"}},
		{name: "the node's own address", addr: "10.50.0.1", addrs: []string{"10.50.0.1/24"},
			byRoute: "10.50.0.1 is the host's own",
			byCNI:   "interface up0 leads to the whole of 10.50.0.0/24"},
		{name: "link-local addresses", addrs: []string{"169.254.7.7/16", "fe80::77/64"}},
		{name: "a default route", routes: []netlink.Route{routeOf(t, "0.0.0.0/0", via(asked))},
			byRoute: "interface up0 has a default route, so that it leads to the world",
			byCNI:   "interface up0 has a default route, so that it leads to the world"},
		{name: "a default route of another table", routes: []netlink.Route{routeOf(t, "0.0.0.0/0", via(asked), inTable(100))},
			byRoute: "interface up0 has a default route", byCNI: "interface up0 has a default route"},
		{name: "a default route of a table beyond 255", routes: []netlink.Route{routeOf(t, "0.0.0.0/0", via(asked), inTable(10100))},
			byRoute: "interface up0 has a default route", byCNI: "interface up0 has a default route"},
		{name: "a default route of one of several ways", routes: []netlink.Route{routeOf(t, "0.0.0.0/0", func(r *netlink.Route) {
			r.Scope, r.MultiPath = unix.RT_SCOPE_UNIVERSE, []*netlink.NexthopInfo{{Gw: net.ParseIP(asked), Flags: int(netlink.FLAG_ONLINK)}}
		})}, byRoute: "interface up0 has a default route", byCNI: "interface up0 has a default route"},
		{name: "::/0 by router advertisement", addr: asked6, routes: []netlink.Route{routeOf(t, "::/0", via("fe80::1"), by(unix.RTPROT_RA))},
			byRoute: "interface up0 has a default route by router advertisement, so that it leads to the world",
			byCNI:   "interface up0 has a default route by router advertisement"},
		{name: "a default route of the other family", routes: []netlink.Route{routeOf(t, "::/0", via("fe80::1"), by(unix.RTPROT_RA))},
			byRoute: "interface up0 has a default route", byCNI: "interface up0 has a default route"},
		{name: "a gateway to a net", routes: []netlink.Route{routeOf(t, "10.244.2.0/24", via(asked))},
			byRoute: "interface up0 leads to a gateway for 10.244.2.0/24", byCNI: "interface up0 leads to a gateway for 10.244.2.0/24"},
		{name: "a gateway to one address", routes: []netlink.Route{routeOf(t, "10.244.2.9/32", via(asked))},
			byRoute: "interface up0 leads to a gateway for 10.244.2.9/32", byCNI: "interface up0 leads to a gateway for 10.244.2.9/32"},
		{name: "half of the world", routes: []netlink.Route{routeOf(t, "128.0.0.0/1")},
			byRoute: "interface up0 leads to the whole of 128.0.0.0/1", byCNI: "interface up0 leads to the whole of 128.0.0.0/1"},
		{name: "a net in a table", addr: "10.60.0.7", routes: []netlink.Route{routeOf(t, "10.60.0.0/16", inTable(7))},
			byRoute: "there is no route to 10.60.0.7", byCNI: "interface up0 leads to the whole of 10.60.0.0/16"},
		{name: "somebody else's address", routes: []netlink.Route{routeOf(t, "10.0.0.9/32")},
			byRoute: "interface up0 leads to 10.0.0.9 as well, which is not the pod's"},
		{name: "somebody else's address in a table", routes: []netlink.Route{routeOf(t, "10.0.0.9/32", inTable(7))},
			byRoute: "interface up0 leads to 10.0.0.9 as well, which is not the pod's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if _, err := n.lab.AddHost(labHost("up", "up0", tt.addr)); err != nil {
				t.Fatal(err)
			}
			n.prepare(tt.routes, tt.addrs)
			addr := tt.addr
			if addr == "" {
				addr = asked
			}
			for by, why := range map[string]string{"": tt.byRoute, "up0": tt.byCNI} {
				ep := pod("web", addr)
				ep.Interface = by
				if why == "" {
					n.want(n.find(ep), []Link{{Key: ep.Key, Name: "up0", Addrs: ep.Addrs}})
				} else {
					n.want(n.find(ep), nil, "web: "+why)
				}
				clear(n.f.pins)
			}
		})
	}
}

// prepare adds routes by up0, and addresses of the node to it.
func (n *node) prepare(routes []netlink.Route, addrs []string) {
	n.t.Helper()
	n.ip(func(h *netlink.Handle) error {
		for _, text := range addrs {
			a, err := netlink.ParseAddr(text)
			if err != nil {
				return err
			}
			a.Flags = unix.IFA_F_NODAD
			l, err := h.LinkByName("up0")
			if err == nil {
				err = h.AddrAdd(l, a)
			}
			if err != nil {
				return fmt.Errorf("address %s: %w", text, err)
			}
		}
		l, err := h.LinkByName("up0")
		if err != nil {
			return err
		}
		for _, r := range routes {
			r.LinkIndex = l.Attrs().Index
			for _, hop := range r.MultiPath {
				hop.LinkIndex, r.LinkIndex = l.Attrs().Index, 0
			}
			if err := h.RouteAdd(&r); err != nil {
				return fmt.Errorf("route to %v: %w", r.Dst, err)
			}
		}
		return nil
	})
}

// TestAdvertisedRouteTakesNothing: what was found of a pod stays when the pod has the host make a
// route by an advertisement, and does not when root makes one.
func TestAdvertisedRouteTakesNothing(t *testing.T) {
	n := newNode(t)
	if _, err := n.lab.AddHost(labHost("up", "up0", "")); err != nil {
		t.Fatal(err)
	}
	ep := pod("web", "192.0.2.1")
	own := []Link{{Key: ep.Key, Name: "up0", Addrs: ep.Addrs}}
	n.want(n.find(ep), own)
	n.prepare([]netlink.Route{routeOf(t, "::/0", via("fe80::1"), by(unix.RTPROT_RA))}, nil)
	n.want(n.find(ep), own)
	moved := pod("web", "192.0.2.1", "2001:db8::1")
	n.want(n.find(moved), nil, "web: interface up0 has a default route by router advertisement")
	n.want(n.find(ep), nil, "web: interface up0 has a default route by router advertisement")
	n.prepare([]netlink.Route{routeOf(t, "10.0.0.0/8")}, nil)
	n.want(n.find(ep), nil, "web: interface up0 leads to the whole of 10.0.0.0/8")
}

// TestUplinkOfBridge has a bridge that reaches the world by one of its ports.
func TestUplinkOfBridge(t *testing.T) {
	n := newNode(t)
	n.bridge()
	router := n.host("router", "cni0", "10.244.1.9")
	n.host("web", "cni0", "10.244.1.2")
	routerPod, webPod := pod("router", "10.244.1.9"), pod("web", "10.244.1.2")
	if r := n.until(routerPod, webPod); len(r.Links) != 2 {
		t.Fatalf("got %+v", r)
	}
	n.ip(func(h *netlink.Handle) error {
		br, err := h.LinkByName("cni0")
		if err != nil {
			return err
		}
		r := routeOf(t, "0.0.0.0/0", via("10.244.1.9"))
		r.LinkIndex = br.Attrs().Index
		return h.RouteAdd(&r)
	})
	why := "router: interface " + router.Interface() + " leads to 10.244.1.9, a gateway on bridge cni0"
	n.want(n.find(routerPod, webPod), []Link{{Key: webPod.Key, Name: n.lab.Host("web").Interface(), Bridge: "cni0", Addrs: webPod.Addrs}}, why)
	// The CNI plugin's word changes nothing.
	routerPod.Interface = router.Interface()
	n.want(n.find(routerPod), nil, why)
}

// TestIndexOutlivesName: the number that the CNI plugin told is the interface's, whatever it is called now; the
// name may be another's.
func TestIndexOutlivesName(t *testing.T) {
	n := newNode(t)
	n.host("web", "", "10.0.0.2")
	n.host("db", "", "10.0.0.3")
	both := n.find(pod("web", "10.0.0.2"), pod("db", "10.0.0.3")).Links
	web := pod("web", "10.0.0.2")
	web.Interface, web.Index = both[0].Name, both[1].Index // the name of db's
	n.want(n.find(web), both[1:])
	web.Index = 9999
	n.want(n.find(web), nil, "web: there is no interface "+both[0].Name)
}
