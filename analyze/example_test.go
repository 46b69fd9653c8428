package analyze_test

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// shop is a cluster of two pods with policies for the one that is called db.
func shop(policies ...*policy.Policy) *policy.Model {
	pod := func(name, addr string) *policy.Endpoint {
		return &policy.Endpoint{
			Key:      policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: name},
			Addrs:    []netip.Addr{netip.MustParseAddr(addr)},
			Labels:   selector.NewLabels(map[string]string{"app": name}),
			Profiles: []string{"kns.shop"},
		}
	}
	return &policy.Model{
		Tiers:     policy.FixedTiers(),
		Policies:  policies,
		Endpoints: []*policy.Endpoint{pod("web", "10.0.0.1"), pod("db", "10.0.0.2")},
	}
}

// allowWeb lets web reach a TCP port of db, and nothing else.
func allowWeb(port uint16) *policy.Policy {
	tcp := policy.TCP
	p := &policy.Policy{
		Key:      policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "db"},
		Tier:     "default",
		Selector: selector.MustParse("app == 'db'"),
		Types:    [2]bool{policy.Egress: true, policy.Ingress: true},
	}
	p.Rules[policy.Ingress] = []policy.Rule{{
		Action:      policy.Allow,
		Protocol:    &tcp,
		Source:      policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse("app == 'web'")}},
		Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}},
	}}
	return p
}

// Who can reach whom, on what.
func ExampleReach() {
	r, err := analyze.Reach(shop(allowWeb(5432)), analyze.ReachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Pairs {
		fmt.Printf("%v -> %v: %v\n", p.Src, p.Dst, p.Allowed)
	}
	// Output:
	// shop/Pod/web -> shop/Pod/db: TCP 5432
	// shop/Pod/web -> 0.0.0.0-255.255.255.255: All
	// 0.0.0.0-255.255.255.255 -> shop/Pod/web: All
}

// What a change of policy changes.
func ExampleDiff() {
	changes, _, err := analyze.Diff(shop(), shop(allowWeb(5432)), analyze.ReachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range changes {
		fmt.Printf("%v -> %v: %v, and then %v\n", c.Src, c.Dst, c.Before, c.After)
	}
	// Output:
	// shop/Pod/db -> shop/Pod/web: All, and then nothing
	// shop/Pod/db -> 0.0.0.0-255.255.255.255: All, and then nothing
	// shop/Pod/web -> shop/Pod/db: All, and then TCP 5432
	// 0.0.0.0-255.255.255.255 -> shop/Pod/db: All, and then nothing
}

// What is allowed can be asked about one connection, and combined.
func ExampleL4Set() {
	r, err := analyze.Reach(shop(allowWeb(5432)), analyze.ReachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := r.Pairs[0].Allowed
	fmt.Println(db.Contains(policy.Flow{Protocol: policy.TCP, DstPort: 5432}), db.Contains(policy.Flow{Protocol: policy.UDP, DstPort: 5432}))
	fmt.Println("denied:", db[0].Connections().Complement())
	// Output:
	// true false
	// denied: All but TCP 5432
}
