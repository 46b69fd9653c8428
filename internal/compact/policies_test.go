package compact_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

func TestMain(m *testing.M) { modeltest.Main(m, 200, 2000) }

// samePolicy compares policies; an empty list of nets is not none.
var samePolicy = cmp.Options{
	cmp.Comparer(func(a, b *selector.Selector) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateComparable(),
}

func TestPackedPoliciesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compact.NewPolicies()
		m := modeltest.ModelsWithEverything().Draw(t, "model")
		var packed []compact.Packed
		for _, p := range m.Policies {
			packed = append(packed, s.Pack(p))
		}
		for i, p := range m.Policies {
			got := s.Unpack(packed[i])
			if diff := cmp.Diff(normal(p), got, samePolicy); diff != "" {
				t.Fatalf("%v (-packed +unpacked):\n%s", p.Key, diff)
			}
			if got.Selector != s.Selector(packed[i]) {
				t.Fatalf("%v: the selector of the packed policy is another one", p.Key)
			}
			again := s.Pack(got)
			if again != packed[i] {
				t.Fatalf("%v: packed anew it differs", p.Key)
			}
			s.Release(again)
		}
		for _, p := range packed {
			s.Release(s.Share(p))
			s.Release(p)
		}
		if selectors, peerSets := s.Len(); selectors+peerSets > 0 {
			t.Fatalf("%d selectors and %d peer sets are left", selectors, peerSets)
		}
	})
}

// normal returns a policy without what nobody can tell: lists that are empty and
// could as well be none.
func normal(p *policy.Policy) *policy.Policy {
	v := *p
	for dir, rules := range v.Rules {
		if len(rules) == 0 {
			v.Rules[dir] = nil
		}
	}
	return &v
}

// Every field of a policy makes another packed form, and comes back. Who adds a field
// and does not pack it, or does not unpack it, sees its name here.
func TestEveryFieldIsPacked(t *testing.T) {
	s := compact.NewPolicies()
	filled := modeltest.Filled[policy.Policy]()
	packed := s.Pack(&filled)
	if diff := cmp.Diff(&filled, s.Unpack(packed), samePolicy); diff != "" {
		t.Errorf("(-packed +unpacked):\n%s", diff)
	}
	for _, v := range modeltest.Variants(filled) {
		other := s.Pack(&v.Value)
		if other == packed {
			t.Errorf("%s: a policy that differs in it has the same packed form", v.Path)
		}
		if diff := cmp.Diff(&v.Value, s.Unpack(other), samePolicy); diff != "" {
			t.Errorf("%s (-packed +unpacked):\n%s", v.Path, diff)
		}
		s.Release(other)
	}
	s.Release(packed)
	if selectors, peerSets := s.Len(); selectors+peerSets > 0 {
		t.Errorf("%d selectors and %d peer sets are left", selectors, peerSets)
	}
}

func TestPackedCornerCases(t *testing.T) {
	zero, high := uint8(0), uint8(255)
	proto := policy.Protocol(255)
	p := &policy.Policy{
		Key: policy.Key{Kind: "K", Name: "n"}, Selector: selector.Equals("own:a", `'"`), Types: [2]bool{false, true},
		Host: policy.HostOptions{ApplyOnForward: true, DoNotTrack: true},
		Rules: [2][]policy.Rule{{{
			Index: 70_000, Action: policy.Log, Family: policy.IPv6, NotProtocol: &proto,
			ICMP: &policy.ICMPMatch{Type: &zero}, NotICMP: &policy.ICMPMatch{Type: &high, Code: &zero},
			HTTP: &policy.HTTPMatch{Methods: []string{"GET"}, Paths: []policy.HTTPPath{{Exact: "/"}, {Prefix: "/a"}}},
			Source: policy.Peer{Nets: []netip.Prefix{}, NotNets: []netip.Prefix{
				{}, netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00::1/128"), netip.MustParsePrefix("10.1.2.3/8"), netip.PrefixFrom(netip.IPv6Loopback(), 300),
			}},
			Destination: policy.Peer{
				Set: &policy.PeerSet{Selector: selector.All(), AsWritten: policy.PodsPeer{Labels: "a=b"}}, NotSet: &policy.PeerSet{Selector: selector.All(), DNSLearned: true},
				Ports: &policy.Ports{}, NotPorts: &policy.Ports{Ranges: []policy.PortRange{{First: 0, Last: 65535}}, Names: []string{"http", ""}},
			},
		}}},
	}
	s := compact.NewPolicies()
	packed := s.Pack(p)
	if diff := cmp.Diff(p, s.Unpack(packed), samePolicy); diff != "" {
		t.Errorf("(-packed +unpacked):\n%s", diff)
	}
	if selectors, peerSets := s.Len(); selectors != 2 || peerSets != 2 {
		t.Errorf("%d selectors and %d peer sets, want 2 and 2", selectors, peerSets)
	}
}
