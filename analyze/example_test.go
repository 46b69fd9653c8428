package analyze_test

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Two pods and a policy that lets one of them reach the other's database port.
func ExampleReach() {
	pod := func(name, addr string) *policy.Endpoint {
		return &policy.Endpoint{
			Key:     policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: name},
			Addrs:   []netip.Addr{netip.MustParseAddr(addr)},
			Labels:  selector.NewLabels(map[string]string{"app": name}),
			Profile: "kns.shop",
		}
	}
	tcp := policy.TCP
	allow := &policy.Policy{
		Key:      policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "db"},
		Tier:     "default",
		Selector: selector.MustParse("app == 'db'"),
		Types:    [2]bool{policy.Egress: true, policy.Ingress: true},
	}
	allow.Rules[policy.Ingress] = []policy.Rule{{
		Action:      policy.Allow,
		Protocol:    &tcp,
		Source:      policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse("app == 'web'")}},
		Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 5432, Last: 5432}}}},
	}}
	r, err := analyze.Reach(&policy.Model{
		Tiers:     policy.FixedTiers(),
		Policies:  []*policy.Policy{allow},
		Endpoints: []*policy.Endpoint{pod("web", "10.0.0.1"), pod("db", "10.0.0.2")},
	}, analyze.ReachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Pairs {
		fmt.Printf("%s -> %s %+v\n", p.Src, p.Dst, p.Allowed)
	}
	// Output:
	// shop/Pod/web -> shop/Pod/db [TCP 5432]
	// shop/Pod/web -> 0.0.0.0-255.255.255.255 [All]
	// 0.0.0.0-255.255.255.255 -> shop/Pod/web [All]
}
