package nft

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// TestCutLeavesControlTraffic has policy deny a node and its pod everything, and looks what of
// the connections that the kernel tracks would be cut: what evaluate denies, and no more. Of
// what says who listens to which groups the kernel tracks IGMP like any protocol.
func TestCutLeavesControlTraffic(t *testing.T) {
	node4, node6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	pod4, pod6 := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")
	closed := governs("all()", bothWays)
	closed.Key.Name, closed.Tier, closed.Host.ApplyOnForward = "closed", "default", true
	m := &policy.Model{
		Tiers: policy.FixedTiers(), Policies: []*policy.Policy{closed}, Host: policy.HostSettings{EndpointToHost: policy.Allow},
		Endpoints: []*policy.Endpoint{
			{
				Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "node-a"}, Node: "node-a", Interface: policy.AllInterfaces,
				Addrs: []netip.Addr{node4, node6}, Labels: selector.Labels{}, Host: &policy.Host{Expected: []netip.Addr{node4, node6}},
			},
			{Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: "a"}, Node: "node-a", Addrs: []netip.Addr{pod4, pod6}, Profiles: []string{"kns.ns"}},
		},
		Nodes: []*policy.Node{{Name: "node-a", Addrs: []netip.Addr{node4, node6}}},
	}
	engine, state := onNodeA(), dataplane.NewState()
	engine.Apply(modeltest.Changes(nil, m)...)
	if err := state.Apply(engine.Flush()); err != nil {
		t.Fatal(err)
	}
	l := newLayout(state)
	l.host.settings = dataplane.HostSettings{HostSettings: m.Host}
	l.renderHost()
	judge := evaluate.New(m)
	own := func(a netip.Addr) bool { return a == node4 || a == node6 }
	group4, group6 := netip.MustParseAddr("224.0.0.22"), netip.MustParseAddr("ff02::16")
	exempt := 0
	for _, ends := range [][2]netip.Addr{
		{node4, group4}, {pod4, group4}, {node6, group6}, {pod6, group6}, {pod6, node6}, {pod4, node4}, {node6, netip.MustParseAddr("2001:db8::9")},
		{netip.MustParseAddr("2001:db8::9"), node6}, {netip.MustParseAddr("192.0.2.9"), node4},
	} {
		flows := []policy.Flow{{Protocol: 2}, {Protocol: policy.UDP, SrcPort: 5353, DstPort: 5353}}
		if ends[0].Is6() {
			flows = flows[1:]
			for typ := 128; typ < 160; typ++ {
				flows = append(flows, policy.Flow{Protocol: policy.ICMPv6, ICMPType: uint8(typ)})
			}
		}
		for _, f := range flows {
			f.Src, f.Dst = ends[0], ends[1]
			seen := conntrack.HostView{OwnSrc: own(f.Src), OwnDst: own(f.Dst), PreNATDst: netip.AddrPortFrom(f.Dst, f.DstPort), Via: func(netip.Addr) string { return "eth0" }}
			want := judge.Evaluate(f).Verdict == policy.Deny
			egress, ingress := (cutter{l}).Decide(f)
			got := cutter{l}.DeniesHost(f, seen) || !own(f.Src) && !own(f.Dst) && (!egress.Allow || !ingress.Allow)
			if got != want {
				t.Errorf("%s type %d: cut %v, evaluate denies %v", flowText(f), f.ICMPType, got, want)
			}
			if !want {
				exempt++
			}
		}
	}
	if exempt == 0 {
		t.Error("nothing is exempt: the test says nothing")
	}
}
