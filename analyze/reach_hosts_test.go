package analyze_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// What is routed from one pod of a node to another is asked of no host endpoint, also
// where the two addresses would be those of different ones, of which only one denies.
func TestReachWithinANodeAsksNoHost(t *testing.T) {
	host := func(name, address string) *policy.Endpoint {
		addrs := []netip.Addr{netip.MustParseAddr(address)}
		return &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindHostEndpoint, Name: name}, Node: "node-a", Addrs: addrs, Host: &policy.Host{Expected: addrs},
			Labels: selector.NewLabels(map[string]string{"name": name}),
		}
	}
	m := &policy.Model{
		Endpoints: []*policy.Endpoint{pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), host("closed", "10.0.0.1"), host("open", "10.0.0.2")},
		Policies: []*policy.Policy{{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}, Tier: "default", Selector: selector.MustParse("name == 'closed'"),
			Types: [2]bool{policy.Ingress: true, policy.Egress: true}, Host: policy.HostOptions{ApplyOnForward: true},
		}},
		Tiers: []*policy.Tier{{Name: "default"}},
	}
	for _, ep := range m.Endpoints {
		ep.Node = "node-a"
	}
	r, err := analyze.Reach(m, analyze.ReachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]string{{"ns/Pod/a", "ns/Pod/b"}, {"ns/Pod/b", "ns/Pod/a"}} {
		if !slices.ContainsFunc(r.Pairs, func(p analyze.Pair) bool {
			return p.Src.String() == want[0] && p.Dst.String() == want[1] && p.Allowed.String() == "All"
		}) {
			t.Errorf("%s to %s is not listed as allowed: %v", want[0], want[1], r.Pairs)
		}
	}
}
