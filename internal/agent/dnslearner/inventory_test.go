package dnslearner

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// TestInventory: whose addresses are, as services, nodes and this host change.
func TestInventory(t *testing.T) {
	v := NewInventory()
	pod := netip.MustParseAddr("10.244.0.7")
	service := func(name string, kind corev1.ServiceType, ip string, balancer ...string) store.Resource {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, ClusterIP: ip, ClusterIPs: []string{ip}, ExternalIPs: []string{"192.0.2.77"}}}
		for _, a := range balancer {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		return store.Resource{Key: policy.Key{Kind: policy.KindService, Namespace: "a", Name: name}, Object: s}
	}
	onNode := func(ips ...string) store.Resource {
		p := &corev1.Pod{Status: corev1.PodStatus{HostIP: ips[0]}}
		for _, ip := range ips {
			p.Status.HostIPs = append(p.Status.HostIPs, corev1.HostIP{IP: ip})
		}
		return store.Resource{Object: p}
	}
	node := &corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n1"}, {Type: corev1.NodeInternalIP, Address: "192.168.0.1"}}}}
	gone := func(name string) store.Batch {
		return store.Batch{Deleted: []policy.Key{{Kind: policy.KindService, Namespace: "a", Name: name}}}
	}
	updated := func(r ...store.Resource) store.Batch { return store.Batch{Updated: r} }
	for _, tt := range []struct {
		what    string
		batch   store.Batch
		local   string // of this host; as before if it is empty
		added   string
		removed bool
		want    string // addresses, each with whose it is
	}{
		{"nothing", store.Batch{}, "", "[]", false, "10.96.0.1: 10.244.0.7:endpoint 192.0.2.1:"},
		{"a service", updated(service("s", corev1.ServiceTypeClusterIP, "10.96.0.1")), "", "[10.96.0.1]", true, "10.96.0.1:cluster-ip 192.0.2.77:"},
		{"another address", updated(service("s", corev1.ServiceTypeClusterIP, "10.96.0.2")), "", "[10.96.0.2]", true, "10.96.0.1: 10.96.0.2:cluster-ip"},
		{"two at one address", updated(service("t", corev1.ServiceTypeNodePort, "10.96.0.2")), "", "[10.96.0.2]", true, "10.96.0.2:cluster-ip"},
		{"one is gone", gone("s"), "", "[]", true, "10.96.0.2:cluster-ip"},
		{"both are", gone("t"), "", "[]", true, "10.96.0.2:"},
		{"what was none", gone("t"), "", "[]", false, "10.96.0.2:"},
		{"headless", updated(service("h", corev1.ServiceTypeClusterIP, "None")), "", "[]", true, "10.96.0.2:"},
		{"nodes", updated(store.Resource{Object: node}, onNode("192.168.0.2", "fd00::2"), onNode("192.168.0.2"), onNode("")), "",
			"[192.168.0.1 192.168.0.2 fd00::2]", false, "192.168.0.1:node 192.168.0.2:node fd00::2:node 192.168.0.3:"},
		{"a load balancer at a node", updated(service("l", corev1.ServiceTypeLoadBalancer, "10.96.0.3", "192.168.0.2", "192.0.2.5", "10.244.0.7", "10.96.0.3")), "",
			"[10.96.0.3]", true, "192.168.0.2: 192.0.2.5: 192.168.0.1:node 10.244.0.7:endpoint 10.96.0.3:cluster-ip"},
		{"another type: what its status says does not count", updated(service("l", corev1.ServiceTypeClusterIP, "10.96.0.3", "192.168.0.2")), "", "[10.96.0.3]", true, "192.168.0.2:node"},
		{"this host's", store.Batch{}, "172.17.0.1 192.168.0.9", "[172.17.0.1 192.168.0.9]", false, "172.17.0.1:node"},
		{"others", store.Batch{}, "172.17.0.2 192.168.0.9", "[172.17.0.2]", false, "172.17.0.1: 172.17.0.2:node 192.168.0.9:node"},
	} {
		added, removed := v.Take(&tt.batch)
		if tt.local != "" {
			var addrs []netip.Addr
			for _, text := range strings.Fields(tt.local) {
				addrs = append(addrs, netip.MustParseAddr(text))
			}
			added = append(added, v.SetLocal(addrs)...)
		}
		if got := fmt.Sprint(added); got != tt.added || removed != tt.removed {
			t.Errorf("%s: added %s, removed %v; want %s, %v", tt.what, got, removed, tt.added, tt.removed)
		}
		for _, want := range strings.Fields(tt.want) {
			at := strings.LastIndexByte(want, ':')
			owner := v.Owner(netip.MustParseAddr(want[:at]), func(a netip.Addr) bool { return a == pod })
			if got := owner.Label(); got != want[at+1:] {
				t.Errorf("%s: %s is %q, want %q", tt.what, want[:at], got, dns.ReasonOf(want[at+1:]).Label())
			}
		}
	}
}
