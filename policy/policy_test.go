package policy_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
)

func TestTiersInOrder(t *testing.T) {
	tiers := []*policy.Tier{
		{Name: "none", Order: math.Inf(1)}, {Name: "b", Order: 5}, {Name: "a", Order: 5}, {Name: "neg", Order: -1},
	}
	slices.SortFunc(tiers, policy.CompareTiers)
	var got []string
	for _, tier := range tiers {
		got = append(got, tier.Name)
	}
	if diff := cmp.Diff([]string{"neg", "a", "b", "none"}, got); diff != "" {
		t.Error(diff)
	}
}

// Equal orders fall back on "name/namespace/kind", compared as bytes.
func TestPoliciesInOrder(t *testing.T) {
	p := func(order float64, name, namespace, kind string) *policy.Policy {
		return &policy.Policy{Order: order, Key: policy.Key{Kind: kind, Namespace: namespace, Name: name}}
	}
	sorted := []*policy.Policy{
		p(1, "z", "z", policy.KindNetworkPolicy),
		p(2, "a-b", "ns", policy.KindNetworkPolicy),
		p(2, "a", "", policy.KindGlobalNetworkPolicy),
		p(2, "a", "ns", policy.KindKubernetesNetworkPolicy),
		p(2, "a", "ns", policy.KindNetworkPolicy),
		p(2, "a", "nt", policy.KindKubernetesNetworkPolicy),
		p(math.Inf(1), "a", "", policy.KindGlobalNetworkPolicy),
	}
	got := slices.Clone(sorted)
	slices.Reverse(got)
	slices.SortFunc(got, policy.ComparePolicies)
	if diff := cmp.Diff(sorted, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseProtocol(t *testing.T) {
	for in, want := range map[string]policy.Protocol{"TCP": policy.TCP, "UDPLite": policy.UDPLite, "47": 47, "0": 0, "255": 255} {
		if got, err := policy.ParseProtocol(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "tcp", "256", "-1", "1.5", "TCPX"} {
		if got, err := policy.ParseProtocol(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

// What a message of ICMP is answered by: a request by a reply, each family its own.
func TestICMPAnswer(t *testing.T) {
	for _, tt := range []struct {
		protocol        policy.Protocol
		message, answer uint8
	}{
		{policy.ICMP, 8, 0}, {policy.ICMP, 0, 0}, {policy.ICMP, 128, 128}, {policy.ICMPv6, 128, 129}, {policy.ICMPv6, 129, 129}, {policy.ICMPv6, 8, 8}, {policy.TCP, 0, 0},
	} {
		if got := tt.protocol.ICMPAnswer(tt.message); got != tt.answer {
			t.Errorf("%v type %d is answered by type %d, want %d", tt.protocol, tt.message, got, tt.answer)
		}
	}
}
