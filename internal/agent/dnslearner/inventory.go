package dnslearner

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Inventory is whose of the cluster addresses are, beside those of endpoints, which the
// model knows. Names of DNS must not have them: see dns.Guard.
type Inventory struct {
	services   map[policy.Key]serviceAddresses
	clusterIPs map[netip.Addr]int // of how many services
	balancers  map[netip.Addr]int
	// nodes are the addresses that nodes have or had: an agent hears of other nodes only
	// from pods on them, and not that they are gone.
	nodes     map[netip.Addr]struct{}
	nodeTexts map[string]struct{} // the same, as pods say them
	local     map[netip.Addr]struct{}
}

// serviceAddresses are those of a service itself, and of what balances its load.
type serviceAddresses struct{ cluster, balancer []netip.Addr }

// NewInventory returns one that knows of nothing.
func NewInventory() *Inventory {
	return &Inventory{
		services: map[policy.Key]serviceAddresses{}, clusterIPs: map[netip.Addr]int{}, balancers: map[netip.Addr]int{},
		nodes: map[netip.Addr]struct{}{}, nodeTexts: map[string]struct{}{}, local: map[netip.Addr]struct{}{},
	}
}

// Take takes in what a batch says of services and nodes. It returns addresses that it may
// have made the cluster's, and reports whether others may have ceased to be.
func (v *Inventory) Take(b *store.Batch) (added []netip.Addr, removed bool) {
	for _, key := range b.Deleted {
		if s, known := v.services[key]; known {
			v.forget(s)
			delete(v.services, key)
			removed = true
		}
	}
	for i := range b.Updated {
		switch o := b.Updated[i].Object.(type) {
		case *corev1.Service:
			key := b.Updated[i].Key
			v.forget(v.services[key])
			now := serviceAddresses{serviceAddrs(o), balancerAddrs(o)}
			for _, a := range now.cluster {
				v.clusterIPs[a]++
			}
			for _, a := range now.balancer {
				v.balancers[a]++
			}
			v.services[key] = now
			added, removed = append(added, now.cluster...), true
		case *corev1.Node:
			for _, a := range o.Status.Addresses {
				added = v.addNode(a.Address, added)
			}
		case *corev1.Pod:
			added = v.addNode(o.Status.HostIP, added)
			for _, ip := range o.Status.HostIPs {
				added = v.addNode(ip.IP, added)
			}
		}
	}
	return added, removed
}

func (v *Inventory) forget(s serviceAddresses) {
	less := func(counts map[netip.Addr]int, addrs []netip.Addr) {
		for _, a := range addrs {
			if counts[a]--; counts[a] == 0 {
				delete(counts, a)
			}
		}
	}
	less(v.clusterIPs, s.cluster)
	less(v.balancers, s.balancer)
}

// addNode notes an address of a node, and appends it to others if it is new. A node's host
// name is none.
func (v *Inventory) addNode(text string, added []netip.Addr) []netip.Addr {
	if _, known := v.nodeTexts[text]; known || text == "" {
		return added
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return added
	}
	v.nodeTexts[text] = struct{}{}
	a = a.Unmap().WithZone("")
	v.nodes[a] = struct{}{}
	return append(added, a)
}

// SetLocal says which addresses this host delivers locally, and returns those that it did
// not have before.
func (v *Inventory) SetLocal(addrs []netip.Addr) (added []netip.Addr) {
	now := make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		now[a] = struct{}{}
		if _, had := v.local[a]; !had {
			added = append(added, a)
		}
	}
	v.local = now
	return added
}

// Owner returns what of the cluster has an address; isEndpoint says whether an endpoint
// does. What a service's load balancer listens at is meant to be reached by name, even
// if it is a node's address, too.
func (v *Inventory) Owner(a netip.Addr, isEndpoint func(netip.Addr) bool) dns.Reason {
	_, isNode := v.nodes[a]
	_, isLocal := v.local[a]
	switch {
	case v.clusterIPs[a] > 0:
		return dns.ClusterIP
	case isNode || isLocal:
		if v.balancers[a] > 0 {
			return dns.NoReason
		}
		return dns.NodeAddress
	case isEndpoint(a):
		return dns.EndpointAddress
	}
	return dns.NoReason
}

// balancerAddrs returns the addresses of a service's load balancer. Who may write a
// service cannot write its status.
func balancerAddrs(s *corev1.Service) []netip.Addr {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	var out []netip.Addr
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(ingress.IP); err == nil {
			out = append(out, a.Unmap().WithZone(""))
		}
	}
	return out
}
