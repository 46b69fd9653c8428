package evaluate_test

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A policy without rules lets nothing in.
func Example() {
	db := &policy.Endpoint{
		Key:      policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "db"},
		Addrs:    []netip.Addr{netip.MustParseAddr("10.0.0.2")},
		Labels:   selector.NewLabels(map[string]string{"app": "db"}),
		Profiles: []string{"kns.shop"},
	}
	// A policy without rules: nothing may come in.
	closed := &policy.Policy{
		Key:      policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "closed"},
		Tier:     "default",
		Selector: selector.MustParse("app == 'db'"),
		Types:    [2]bool{policy.Ingress: true},
	}
	res := evaluate.New(&policy.Model{
		Tiers: policy.FixedTiers(), Policies: []*policy.Policy{closed}, Endpoints: []*policy.Endpoint{db},
	}).Evaluate(policy.Flow{
		Src: netip.MustParseAddr("192.0.2.1"), Dst: db.Addrs[0],
		Protocol: policy.TCP, SrcPort: 50000, DstPort: 5432,
	})
	fmt.Println(res.Verdict, "by the end of tier", res.Ingress.By.Tier, "after", res.Ingress.By.Name)
	// Output: Deny by the end of tier default after closed
}

// A trace says what each tier, policy and rule that was asked said.
func ExampleEvaluator_Evaluate() {
	udp := policy.UDP
	dns := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "dns"}, Tier: "default",
		Selector: selector.All(), Types: [2]bool{policy.Egress: true},
	}
	dns.Rules[policy.Egress] = []policy.Rule{
		{Index: 0, Action: policy.Pass, Source: policy.Peer{Nets: []netip.Prefix{netip.MustParsePrefix("10.0.9.0/24")}}},
		{Index: 1, Action: policy.Allow, Protocol: &udp},
	}
	pod := &policy.Endpoint{
		Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "web"}, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
	}
	res := evaluate.New(&policy.Model{
		Tiers: policy.FixedTiers(), Policies: []*policy.Policy{dns}, Endpoints: []*policy.Endpoint{pod},
	}).Evaluate(policy.Flow{
		Src: pod.Addrs[0], Dst: netip.MustParseAddr("192.0.2.53"), Protocol: policy.UDP, SrcPort: 50000, DstPort: 53,
	})
	for _, tier := range res.Egress.Trace {
		for _, p := range tier.Policies {
			for _, r := range p.Rules {
				fmt.Println(tier.Tier, p.Key.Name, "rule", r.Index, r.Action, "matches:", r.Matched)
			}
		}
	}
	fmt.Println(res.Verdict, "by rule", res.Egress.By.Rule, "of", res.Egress.By.Name)
	// Output:
	// default dns rule 0 Pass matches: false
	// default dns rule 1 Allow matches: true
	// Allow by rule 1 of dns
}

// A packet for a NodePort of another node meets policy on both: before DNAT with the
// address of the node, and later with the pod's.
func ExampleRoute() {
	addr := netip.MustParseAddr
	m := &policy.Model{
		Nodes: []*policy.Node{{Name: "node-1", Addrs: []netip.Addr{addr("192.0.2.1")}}, {Name: "node-2", Addrs: []netip.Addr{addr("192.0.2.2")}}},
		Endpoints: []*policy.Endpoint{
			{Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "host-1"}, Node: "node-1", Interface: "eth0", Host: &policy.Host{}},
			{Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "web"}, Node: "node-2", Addrs: []netip.Addr{addr("10.0.2.1")}},
		},
	}
	f := policy.Flow{
		Src: addr("198.51.100.7"), Dst: addr("10.0.2.1"), Protocol: policy.TCP, SrcPort: 50000, DstPort: 80,
		PreNATDst: addr("192.0.2.1"), PreNATDstPort: 30080,
	}
	for _, v := range evaluate.Route(evaluate.Plain(m), f) {
		where := v.Hook.String()
		if v.Hook == 0 {
			where = v.Direction.String()
		}
		fmt.Println(v.Node, where, v.Endpoint.Key.Name, netip.AddrPortFrom(v.Dst, v.DstPort))
	}
	// Output:
	// node-1 untracked-in host-1 192.0.2.1:30080
	// node-1 pre-dnat host-1 192.0.2.1:30080
	// node-1 forward-in host-1 10.0.2.1:80
	// node-1 forward-out host-1 10.0.2.1:80
	// node-2 ingress web 10.0.2.1:80
}

// What a node receives for itself passes three of its hooks.
func ExampleNodePath() {
	for _, s := range evaluate.NodePath(evaluate.Elsewhere, evaluate.NodeItself) {
		fmt.Println(s.Hook, "ends there:", s.AtEnd())
	}
	// Output:
	// untracked-in ends there: false
	// pre-dnat ends there: false
	// input ends there: true
}
