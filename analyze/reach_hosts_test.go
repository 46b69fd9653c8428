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

// A connection that a host does not track is allowed if its answers are: by the other
// port, in the other direction.
func TestReachWithoutTracking(t *testing.T) {
	port := func(ports ...uint16) policy.Peer {
		var ranges []policy.PortRange
		for i := 0; i < len(ports); i += 2 {
			ranges = append(ranges, policy.PortRange{First: ports[i], Last: ports[i+1]})
		}
		return policy.Peer{Ports: &policy.Ports{Ranges: ranges}}
	}
	allow := func(p policy.Protocol, from, to policy.Peer) policy.Rule {
		return policy.Rule{Action: policy.Allow, Protocol: &p, Source: from, Destination: to}
	}
	echo := func(icmpType uint8) policy.Rule {
		return policy.Rule{Action: policy.Allow, Protocol: new(policy.ICMP), ICMP: &policy.ICMPMatch{Type: &icmpType}}
	}
	any := policy.Peer{}
	for _, tt := range []struct {
		name            string
		ingress, egress []policy.Rule
		want            [2]string // from the outside world to the host, and from the host
		note            bool      // ephemeral ports differ
	}{
		{"only what begins connections", []policy.Rule{allow(policy.UDP, any, port(53, 53)), allow(policy.TCP, any, port(80, 80))}, nil, [2]string{"", ""}, false},
		{"some of the answers", []policy.Rule{allow(policy.UDP, any, port(53, 60))}, []policy.Rule{allow(policy.UDP, port(50, 54, 57, 57), any)}, [2]string{"UDP 53-54,57", ""}, false},
		{"answers to TCP, which begin no connection", []policy.Rule{allow(policy.TCP, any, port(80, 81))}, []policy.Rule{allow(policy.TCP, port(80, 80), any)}, [2]string{"TCP 80", ""}, false},
		{"what the host asks for", []policy.Rule{allow(policy.UDP, port(123, 123), any)}, []policy.Rule{allow(policy.UDP, any, port(120, 130))}, [2]string{"", "UDP 123"}, false},
		{"echo requests, and their replies", []policy.Rule{echo(8), echo(0)}, []policy.Rule{echo(0), echo(5)}, [2]string{"ICMP 0,8", "ICMP 0"}, false},
		{"answers to some ephemeral ports", []policy.Rule{allow(policy.UDP, any, port(53, 53))}, []policy.Rule{allow(policy.UDP, port(53, 53), port(49152, 50000))}, [2]string{"UDP 53", ""}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := netip.MustParseAddr("192.0.2.1")
			m := &policy.Model{
				Tiers: policy.FixedTiers(),
				Endpoints: []*policy.Endpoint{{
					Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "h"}, Node: "n", Interface: policy.AllInterfaces, Addrs: []netip.Addr{a}, Host: &policy.Host{},
				}},
				Policies: []*policy.Policy{{
					Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}, Tier: "default", Selector: selector.All(), Types: [2]bool{true, true},
					Host: policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}, Rules: [2][]policy.Rule{policy.Ingress: tt.ingress, policy.Egress: tt.egress},
				}},
			}
			r, err := analyze.Reach(m, analyze.ReachOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got [2]string
			for _, p := range r.Pairs {
				i := 0
				if p.Src.Kind == analyze.HostEnd {
					i = 1
				}
				got[i] = p.Allowed.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if note := slices.Contains(r.Notes, analyze.Note(analyze.EphemeralPortsNote{Port: 49152, Other: 50001})); note != tt.note {
				t.Errorf("notes: %v", r.Notes)
			}
		})
	}
}
