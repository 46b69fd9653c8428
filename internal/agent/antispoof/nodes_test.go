package antispoof

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
)

// TestBehindNodes: of nets that routes lead to by a node, the addresses that the node has there are
// known; of nets that any other router leads to, none are.
func TestBehindNodes(t *testing.T) {
	var nodes nodeAddrs
	nodes.add(&store.Batch{Updated: []store.Resource{{Object: &corev1.Pod{Status: corev1.PodStatus{HostIP: "192.0.2.2"}}}}})
	routed := func(net, gateway string, overlay bool) hostlink.RoutedNet {
		return hostlink.RoutedNet{Net: netip.MustParsePrefix(net), Gateway: netip.MustParseAddr(gateway), Overlay: overlay}
	}
	for name, tt := range map[string]struct {
		routed hostlink.RoutedNet
		want   []netip.Addr
	}{
		"by a node":              {routed("10.244.2.0/24", "192.0.2.2", false), addrs("10.244.2.0", "192.0.2.2", "10.244.2.1", "10.244.2.255")},
		"by the end of a tunnel": {routed("10.244.3.0/26", "192.0.2.3", false), addrs("10.244.3.0", "192.0.2.3", "10.244.3.1", "10.244.3.63")},
		"by an overlay":          {routed("10.244.2.0/23", "10.244.2.0", true), addrs("10.244.2.0", "10.244.2.0", "10.244.2.1", "10.244.3.255")},
		"by an overlay, IPv6":    {routed("fd00:2::/64", "fd00::2", true), addrs("fd00:2::", "fd00::2", "fd00:2::1")},
		"by an overlay without gateways": {
			hostlink.RoutedNet{Net: netip.MustParsePrefix("10.244.2.0/24"), Overlay: true}, addrs("10.244.2.0", "10.244.2.1", "10.244.2.255"),
		},
		"by a router of the world": {routed("198.51.100.0/24", "192.0.2.254", false), nil},
	} {
		found := hostlink.Result{Routed: []hostlink.RoutedNet{tt.routed}, TunnelEnds: addrs("192.0.2.3")}
		got := behindNodes(&nodes, &found)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
