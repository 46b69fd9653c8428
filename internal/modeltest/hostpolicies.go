package modeltest

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// HostPolicies returns a model with one host endpoint of LocalNode, for all of its
// interfaces, and n policies for it, which act on forwarded packets as well. Each
// allows TCP to one port from a network set of its own (two nets and an address),
// and to its members as well.
func HostPolicies(n int) *policy.Model {
	m := &policy.Model{Tiers: policy.FixedTiers()}
	m.Endpoints = []*policy.Endpoint{{
		Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "h"}, Node: LocalNode, Interface: policy.AllInterfaces, Host: &policy.Host{},
	}}
	for i := range n {
		m.Policies = append(m.Policies, HostPolicyChange(i, 8080).Object.(*policy.Policy))
		m.Sets = append(m.Sets, HostSetChange(i).Object.(*policy.Set))
	}
	return m
}

// HostPolicyChange returns policy i of HostPolicies with another port.
func HostPolicyChange(i int, port uint16) policy.Change {
	tcp := policy.TCP
	from := &policy.PeerSet{Selector: selector.Equals("feed", fmt.Sprint(i))}
	open := policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}}
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: fmt.Sprintf("p%05d", i)}, Tier: "default", Order: float64(i),
		Selector: selector.All(), Types: [2]bool{true, true}, Host: policy.HostOptions{ApplyOnForward: true},
	}
	p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, Protocol: &tcp, Source: policy.Peer{Set: from}, Destination: open}}
	to := open
	to.Set = from
	p.Rules[policy.Egress] = []policy.Rule{{Action: policy.Allow, Protocol: &tcp, Destination: to}}
	return policy.Change{Key: p.Key, Object: p}
}

// HostSetChange returns the network set of policy i of HostPolicies with more nets.
func HostSetChange(i int, more ...netip.Prefix) policy.Change {
	at := func(a, c byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, byte(i >> 8), byte(i), c}), bits)
	}
	s := &policy.Set{
		Key:    policy.Key{Kind: policy.KindGlobalNetworkSet, Name: fmt.Sprintf("feed-%d", i)},
		Labels: selector.Labels{{Key: "feed", Value: fmt.Sprint(i)}},
		Nets:   append([]netip.Prefix{at(20, 0, 24), at(30, 0, 26), at(40, 1, 32)}, more...),
	}
	return policy.Change{Key: s.Key, Object: s}
}
