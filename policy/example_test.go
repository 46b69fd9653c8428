package policy_test

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A policy with one rule: what is labelled app: db receives TCP to port 5432 from
// clients, and from the nets of sets that are labelled as clients.
func Example() {
	tcp := policy.TCP
	allow := &policy.Policy{
		Key:      policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "db"},
		Tier:     "default",
		Selector: selector.MustParse("app == 'db'"),
		Types:    [2]bool{policy.Ingress: true},
	}
	allow.Rules[policy.Ingress] = []policy.Rule{{
		Action:      policy.Allow,
		Protocol:    &tcp,
		Source:      policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse("role == 'client'")}},
		Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 5432, Last: 5432}}}},
	}}
	model := policy.Model{
		Tiers:    policy.FixedTiers(),
		Policies: []*policy.Policy{allow},
		Endpoints: []*policy.Endpoint{{
			Key:      policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "db-0"},
			Node:     "node-1",
			Addrs:    []netip.Addr{netip.MustParseAddr("10.0.0.2")},
			Labels:   selector.NewLabels(map[string]string{"app": "db"}),
			Profiles: []string{"kns.shop"},
		}},
		Sets: []*policy.Set{{
			Key:    policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "office"},
			Labels: selector.NewLabels(map[string]string{"role": "client"}),
			Nets:   []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		}},
	}
	for _, ep := range model.Endpoints {
		for _, p := range model.Policies {
			fmt.Println(p.Key, "applies to", ep.Key, p.Selector.Match(ep.Labels))
		}
	}
	rule := allow.Rules[policy.Ingress][0]
	for _, set := range model.Sets {
		from := rule.Source.Set
		fmt.Println("nets of", set.Key, "are its peers", from.Counts(set) && from.Selector.Match(set.Labels))
	}
	fmt.Println(rule.Action, *rule.Protocol, "to port", rule.Destination.Ports)
	// Output:
	// GlobalNetworkPolicy/db applies to shop/Pod/db-0 true
	// nets of GlobalNetworkSet/office are its peers true
	// Allow TCP to port 5432
}

// Who has an address of a pod that two nodes claim depends on which of them asks.
func ExampleModel_At() {
	addr := netip.MustParseAddr("10.0.0.2")
	m := &policy.Model{Endpoints: []*policy.Endpoint{
		{Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "old"}, Node: "node-1", Addrs: []netip.Addr{addr}},
		{Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "new"}, Node: "node-2", Addrs: []netip.Addr{addr}, Precedence: 1},
	}}
	for _, node := range []string{"node-1", "node-2"} {
		for _, ep := range m.At(func(ep *policy.Endpoint) bool { return ep.Node == node }).Endpoints {
			if len(ep.Addrs) > 0 {
				fmt.Println("on", node, "it is that of", ep.Key.Name)
			}
		}
	}
	// Output:
	// on node-1 it is that of old
	// on node-2 it is that of new
}

// Where a policy acts at host endpoints follows from its options.
func ExampleHostOptions_ActsAt() {
	for _, c := range []struct {
		name string
		policy.HostOptions
	}{
		{"plain", policy.HostOptions{}},
		{"applyOnForward", policy.HostOptions{ApplyOnForward: true}},
		{"preDNAT", policy.HostOptions{ApplyOnForward: true, PreDNAT: true}},
		{"doNotTrack", policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}},
	} {
		fmt.Print(c.name, ":")
		for _, h := range policy.Hooks {
			if c.ActsAt(h) {
				fmt.Print(" ", h)
			}
		}
		fmt.Println()
	}
	// Output:
	// plain: input output
	// applyOnForward: input forward-in forward-out output
	// preDNAT: pre-dnat
	// doNotTrack: untracked-in untracked-out
}

// Failsafes keep a host reachable whatever policy says, but not what is behind it.
func ExampleHostSettings_Failsafe() {
	var settings policy.HostSettings
	settings.FailsafeIn, settings.FailsafeOut = policy.DefaultFailsafes()
	ssh := policy.Flow{Protocol: policy.TCP, SrcPort: 50000, DstPort: 22}
	for _, h := range []policy.Hook{policy.HookInput, policy.HookForwardIn} {
		if safe, open := settings.Failsafe(h, ssh); open {
			fmt.Println(h, "is open by", safe)
		} else {
			fmt.Println(h, "asks policy")
		}
	}
	// Output:
	// input is open by TCP 22
	// forward-in asks policy
}
