package hostlink

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/policy"
)

// TestOverlay: it is known where packets of a form come to if all interfaces of the form say from where they send.
func TestOverlay(t *testing.T) {
	up, local, local6 := netlink.LinkAttrs{Flags: net.FlagUp}, net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")
	vxlan := func(port int, src net.IP) *netlink.Vxlan {
		return &netlink.Vxlan{LinkAttrs: up, Port: port, SrcAddr: src}
	}
	for name, tt := range map[string]struct {
		links []netlink.Link
		want  Overlay
	}{
		"none":              {nil, Overlay{}},
		"VXLAN":             {[]netlink.Link{vxlan(8472, local)}, Overlay{Ports: []uint16{8472}, Addrs: addrs("192.0.2.1")}},
		"of both families":  {[]netlink.Link{vxlan(8472, local), vxlan(8472, local6)}, Overlay{Ports: []uint16{8472}, Addrs: addrs("192.0.2.1", "2001:db8::1")}},
		"without an end":    {[]netlink.Link{vxlan(8472, nil)}, Overlay{}},
		"one without":       {[]netlink.Link{vxlan(8472, local), vxlan(8472, nil), vxlan(4789, local)}, Overlay{Ports: []uint16{4789}, Addrs: addrs("192.0.2.1")}},
		"the first without": {[]netlink.Link{vxlan(8472, nil), vxlan(8472, local)}, Overlay{}},
		"external":          {[]netlink.Link{&netlink.Vxlan{LinkAttrs: up, Port: 8472, SrcAddr: local, FlowBased: true}}, Overlay{}},
		"Geneve":            {[]netlink.Link{&netlink.Geneve{LinkAttrs: up, Dport: 6081}}, Overlay{}},
		"down":              {[]netlink.Link{&netlink.Vxlan{Port: 8472, SrcAddr: local}}, Overlay{}},
		"a group": {
			[]netlink.Link{&netlink.Vxlan{LinkAttrs: up, Port: 8472, SrcAddr: local, Group: net.IPv4(239, 1, 1, 1)}},
			Overlay{Ports: []uint16{8472}, Addrs: addrs("192.0.2.1", "239.1.1.1")},
		},
		"Calico's tunl0": {[]netlink.Link{&netlink.Iptun{LinkAttrs: up, Local: net.IPv4zero, Proto: 4}}, Overlay{}},
		"IP in IP":       {[]netlink.Link{&netlink.Iptun{LinkAttrs: up, Local: local, Proto: 4}}, Overlay{Protocols: []policy.Protocol{4}, Addrs: addrs("192.0.2.1")}},
	} {
		s := &search{links: map[int]netlink.Link{}}
		var tunnels []Tunnel
		for i, l := range tt.links {
			l.Attrs().Index = i + 7
			s.links[i+7] = l
			tunnels = append(tunnels, tunnelsOf(l)...)
		}
		if diff := cmp.Diff(tt.want, s.overlay(tunnels), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := (&search{}).overlay([]Tunnel{{Name: "fou", Protocol: policy.UDP, Port: 5555}}); len(got.Ports) > 0 {
		t.Errorf("of FOU it is not known, but %v", got)
	}
}
