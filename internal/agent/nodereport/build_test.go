package nodereport

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

// TestLocal: of a host's addresses those are reported that say something of it, and of its ports those that are not
// known without.
func TestLocal(t *testing.T) {
	addrs := func(texts ...string) (list []netip.Addr) {
		for _, text := range texts {
			list = append(list, netip.MustParseAddr(text))
		}
		slices.SortFunc(list, netip.Addr.Compare)
		return list
	}
	udp := func(port uint16) hostlink.Tunnel {
		return hostlink.Tunnel{Name: fmt.Sprint("overlay", port), Protocol: policy.UDP, Port: port}
	}
	many := func(n int) (list []netip.Addr) {
		for i := range n {
			list = append(list, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		return list
	}
	for name, tt := range map[string]struct {
		found     hostlink.Result
		addrs     []string
		ports     []int32
		many      int // addresses
		truncated bool
	}{
		"nothing": {},
		"some": {
			found: hostlink.Result{
				LocalAddrs:   addrs("192.0.2.1", "169.254.20.10", "127.0.0.5", "::1", "fe80::7", "2001:db8::7", "10.96.0.10"),
				ServiceAddrs: addrs("10.96.0.10"),
				Tunnels:      []hostlink.Tunnel{udp(7777), udp(4789), udp(8472), udp(6081), udp(7776), {Name: "gre1", Protocol: 47}},
			},
			addrs: []string{"169.254.20.10", "192.0.2.1", "2001:db8::7"}, ports: []int32{7776, 7777},
		},
		"as many as there is room for": {found: hostlink.Result{LocalAddrs: many(v1alpha1.MaxLocalAddresses)}, many: v1alpha1.MaxLocalAddresses},
		"more":                         {found: hostlink.Result{LocalAddrs: many(v1alpha1.MaxLocalAddresses + 1)}, many: v1alpha1.MaxLocalAddresses, truncated: true},
		"services beside those": {
			found: hostlink.Result{LocalAddrs: many(v1alpha1.MaxLocalAddresses + 9), ServiceAddrs: many(9)}, many: v1alpha1.MaxLocalAddresses,
		},
	} {
		var r v1alpha1.Report
		fillLocal(&r, tt.found)
		if tt.many > 0 {
			if len(r.LocalAddresses) != tt.many {
				t.Errorf("%s: %d addresses, want %d", name, len(r.LocalAddresses), tt.many)
			}
			r.LocalAddresses = nil
		}
		if diff := cmp.Diff(v1alpha1.Report{LocalAddresses: tt.addrs, TunnelPorts: tt.ports, LocalTruncated: tt.truncated}, r); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var ports hostlink.Result
	for port := range uint16(v1alpha1.MaxTunnelPorts + 1) {
		ports.Tunnels = append(ports.Tunnels, udp(port+1))
	}
	var r v1alpha1.Report
	if fillLocal(&r, ports); len(r.TunnelPorts) != v1alpha1.MaxTunnelPorts || !r.LocalTruncated {
		t.Errorf("%d ports, truncated %v", len(r.TunnelPorts), r.LocalTruncated)
	}
}
