// Package endstest is a model with everything that an explanation can show, for tests.
package endstest

import (
	"math"
	"net/netip"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Resolver resolves ends in testModel. The files also hold a pod that is no endpoint.
func Resolver() ends.Resolver {
	return ends.Resolver{Source: input.FromFiles, Model: Model(), Unmanaged: []translate.Unmanaged{{
		Key:   policy.Key{Kind: policy.KindPod, Namespace: "web", Name: "on-host"},
		Owner: policy.Key{Kind: "DaemonSet", Namespace: "web", Name: "hosts"}, Reason: translate.HostNetwork,
	}}}
}

// Model is a model with everything that an explanation can show: tiers that
// pass and deny, a policy without rules, a rule of several alternatives, Log,
// endpoints with and without profile, one of both families, a node.
func Model() *policy.Model {
	tcp := policy.TCP
	all := selector.All()
	pod := func(ns, name, v4 string, labels map[string]string) *policy.Endpoint {
		labels["ns"] = ns
		return &policy.Endpoint{
			Key:      policy.Key{Kind: policy.KindPod, Namespace: ns, Name: name},
			Node:     "node-1",
			Addrs:    []netip.Addr{netip.MustParseAddr(v4)},
			Labels:   selector.NewLabels(labels),
			Profiles: []string{"kns." + ns},
		}
	}
	denotes := func(text string) policy.Peer {
		return policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse(text)}}
	}
	web := pod("web", "web-1", "10.0.0.1", map[string]string{"app": "web"})
	db := pod("data", "postgres-0", "10.0.0.2", map[string]string{"app": "db"})
	db.Addrs = append(db.Addrs, netip.MustParseAddr("2001:db8::2"))
	db.Ports = []policy.NamedPort{{Name: "postgres", Protocol: policy.TCP, Port: 5432}, {Name: "metrics", Protocol: policy.TCP, Port: 9187}}
	dup := func(kind string) *policy.Endpoint {
		e := pod("data", "cache", "10.0.0.7", map[string]string{"app": "cache"})
		e.Key.Kind, e.PlaceholderAddrs = kind, true
		return e
	}
	vm := pod("vms", "vm-1", "10.0.0.9", map[string]string{"app": "vm"})
	vm.Key.Kind, vm.Profiles, vm.Node = policy.KindWorkloadEndpoint, nil, "node-2"
	vm.Addrs = append(vm.Addrs, netip.MustParseAddr("10.0.0.10"))
	replica := func(name, v4 string, labels map[string]string) *policy.Endpoint {
		e := pod("api", name, v4, labels)
		e.Owner = policy.Key{Kind: "Rollout", Namespace: "api", Name: "api"}
		return e
	}
	ingress := [2]bool{policy.Ingress: true}
	return &policy.Model{
		Tiers: append(policy.FixedTiers(),
			&policy.Tier{Name: "security", Order: 100, DefaultAction: policy.Pass},
			&policy.Tier{Name: "platform", Order: 200, DefaultAction: policy.Deny}),
		Policies: []*policy.Policy{
			{
				Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "security.block-bad"}, Tier: "security", Order: 10,
				Selector: all, Types: ingress,
				Rules: [2][]policy.Rule{policy.Ingress: {
					{Index: 0, Action: policy.Deny, Source: denotes("reputation == 'bad'")},
					{Index: 1, Action: policy.Log},
				}},
			},
			{
				Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "platform.lockdown"}, Tier: "platform", Order: math.Inf(1),
				Selector: selector.MustParse("locked == 'yes'"), Types: [2]bool{true, true},
			},
			{
				Key: policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "data", Name: "allow-api"}, Tier: "default", Order: 1000,
				Selector: selector.MustParse("app == 'db'"), Types: ingress,
				Rules: [2][]policy.Rule{policy.Ingress: {
					{Index: 0, Action: policy.Allow, Protocol: &tcp, Source: denotes("app == 'api'"),
						Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 5432, Last: 5432}}}}},
					{Index: 0, Action: policy.Allow, Protocol: &tcp, Source: denotes("app == 'backup'"),
						Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 5432, Last: 5432}}}}},
					{Index: 1, Action: policy.Allow, Source: policy.Peer{Nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
					{Index: 2, Action: policy.Allow, Protocol: &tcp, Source: policy.Peer{
						Set:   &policy.PeerSet{Selector: selector.MustParse("app == 'web'")},
						Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 50000, Last: 50010}}}}},
				}},
			},
			{
				Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "data", Name: "empty"}, Tier: "default", Order: math.Inf(1),
				Selector: selector.MustParse("app == 'db'"), Types: ingress,
			},
		},
		Endpoints: []*policy.Endpoint{web, db, dup("Deployment"), dup("StatefulSet"), vm,
			replica("api-2", "10.0.0.22", map[string]string{"reputation": "bad"}), replica("api-1", "10.0.0.21", map[string]string{"app": "api"})},
		Nodes: []*policy.Node{
			{Name: "node-1", Addrs: []netip.Addr{netip.MustParseAddr("172.16.0.1")}},
			{Name: "node-2"},
		},
	}
}
