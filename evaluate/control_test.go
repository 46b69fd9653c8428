package evaluate_test

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// TestControlTrafficIsNotJudged asks about neighbour discovery where policy denies everything
// to everybody, host endpoints and what is routed included.
func TestControlTrafficIsNotJudged(t *testing.T) {
	a, b, node := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::ff")
	both := [2]bool{true, true}
	m := &policy.Model{
		Tiers: policy.FixedTiers(),
		Policies: []*policy.Policy{
			{Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "none"}, Tier: "default", Selector: selector.All(), Types: both},
			{Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "routed"}, Tier: "default", Selector: selector.All(), Types: both, Host: policy.HostOptions{ApplyOnForward: true}},
		},
		Endpoints: []*policy.Endpoint{
			{Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: "a"}, Node: "n1", Profiles: []string{"kns.ns"}, Addrs: []netip.Addr{a}},
			{Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: "b"}, Node: "n2", Profiles: []string{"kns.ns"}, Addrs: []netip.Addr{b}},
			{Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "all"}, Node: "n2", Addrs: []netip.Addr{node}, Host: &policy.Host{}, Interface: policy.AllInterfaces},
		},
		Host: policy.HostSettings{EndpointToHost: policy.Deny},
	}
	ev := evaluate.New(m)
	for _, src := range []netip.Addr{a, b, node, netip.MustParseAddr("fd00::99")} {
		for _, dst := range []netip.Addr{a, b, node, netip.MustParseAddr("ff02::1:ff00:2")} {
			f := policy.Flow{Src: src, Dst: dst, Protocol: policy.ICMPv6, ICMPType: 135}
			if r := ev.Evaluate(f); r.Verdict != policy.Allow || len(r.Hosts) > 0 {
				t.Errorf("%v -> %v: %+v", src, dst, r)
			}
		}
	}
	echo := policy.Flow{Src: a, Dst: b, Protocol: policy.ICMPv6, ICMPType: 128}
	if r := ev.Evaluate(echo); r.Verdict != policy.Deny {
		t.Errorf("an echo request: %+v", r)
	}
}
