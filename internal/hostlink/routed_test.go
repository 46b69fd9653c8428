package hostlink

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// TestRoutedNets finds the nets that lie behind gateways, as network plugins route them, and whether
// the way there is an overlay.
func TestRoutedNets(t *testing.T) {
	n := newNode(t)
	n.host("web", "", "10.244.1.2")
	var uplink int
	router, err := n.lab.AddHost(labHost("router", "up", ""))
	if err != nil {
		t.Fatal(err)
	}
	n.ip(func(h *netlink.Handle) error {
		l, err := h.LinkByName(router.Interface())
		if err == nil {
			uplink = l.Attrs().Index
		}
		return err
	})
	flannel := n.vxlan("flannel.1", 1)
	n.ip(func(h *netlink.Handle) error {
		l, err := h.LinkByIndex(flannel)
		if err == nil {
			err = h.LinkSetUp(l)
		}
		return err
	})
	route := func(link int, to, gateway string) {
		n.ip(func(h *netlink.Handle) error {
			_, dst, err := net.ParseCIDR(to)
			if err != nil {
				return err
			}
			return h.RouteAdd(&netlink.Route{LinkIndex: link, Dst: dst, Gw: netip.MustParseAddr(gateway).AsSlice(), Flags: int(netlink.FLAG_ONLINK)})
		})
	}
	route(flannel, "10.244.2.0/24", "10.244.2.0")
	route(uplink, "10.244.3.0/26", "192.0.2.3")
	route(uplink, "10.244.4.7/32", "192.0.2.3") // a single address, which may be a pod's
	route(uplink, "0.0.0.0/0", "192.0.2.254")
	want := []RoutedNet{
		{Net: netip.MustParsePrefix("10.244.2.0/24"), Gateway: netip.MustParseAddr("10.244.2.0"), Overlay: true},
		{Net: netip.MustParsePrefix("10.244.3.0/26"), Gateway: netip.MustParseAddr("192.0.2.3")},
	}
	if diff := cmp.Diff(want, n.find(pod("web", "10.244.1.2")).Routed, compareAddrs, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
