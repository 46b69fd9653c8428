package evaluate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// TestRoute says whom packets meet, where, and with which destination.
func TestRoute(t *testing.T) {
	const n1, n2, podA, podB, podC, world, vip = "192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.2", "10.0.1.1", "203.0.113.9", "198.51.100.200"
	pre := func(addr string) func(*policy.Model, *policy.Flow) {
		return func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(addr), 30000
		}
	}
	for _, c := range []struct {
		name     string
		from, to string
		change   func(*policy.Model, *policy.Flow)
		want     string
	}{
		{"to itself", n1, n1, nil, ""},
		{"to a node", world, n1, nil, "n1 untracked-in eth0; n1 pre-dnat eth0; n1 input eth0"},
		{"from a node", n1, world, nil, "n1 untracked-out eth0; n1 output eth0"},
		{"to a pod", world, podA, nil, "n1 untracked-in all; n1 pre-dnat all; n1 forward-in all; n1 ingress a; n1 forward-out all by *"},
		{"from a pod", podA, world, nil, "n1 pre-dnat all by *; n1 forward-in all by *; n1 egress a; n1 forward-out all"},
		{"within a node", podA, podB, nil, "n1 pre-dnat all by *; n1 forward-in all by *; n1 egress a; n1 ingress b; n1 forward-out all by *"},
		{"from a node to its pod", n1, podA, nil, ""},
		{"from a pod to its node", podA, n1, nil, "n1 pre-dnat all by *; n1 egress a"},
		{"from a pod to its node: Drop", podA, n1, func(m *policy.Model, _ *policy.Flow) { m.Host.EndpointToHost = policy.Deny }, "n1 pre-dnat all by *; n1 egress a; n1 input nobody by *"},
		{"from a pod to its node: Return", podA, n1, func(m *policy.Model, _ *policy.Flow) { m.Host.EndpointToHost = policy.Pass }, "n1 pre-dnat all by *; n1 egress a"},
		{"from a pod to one of another node", podC, podA, nil, "n2 egress c; n1 untracked-in all; n1 pre-dnat all; n1 forward-in all; n1 ingress a; n1 forward-out all by *"},
		{"without host endpoints", podA, podC, func(m *policy.Model, _ *policy.Flow) { m.Endpoints = m.Endpoints[2:] }, "n1 egress a; n2 ingress c"},
		{"what a node asks for it translates after the hook without tracking", n1, podC, pre(vip),
			"n1 untracked-out eth0 of 198.51.100.200:30000; n1 output eth0; n2 ingress c"},
		{"what is asked for, where nobody knows who translates it", world, podA, pre(vip),
			"n1 untracked-in all of 198.51.100.200:30000; n1 pre-dnat all of 198.51.100.200:30000; n1 forward-in all; n1 ingress a; n1 forward-out all by *"},
		{"a NodePort of another node", world, podA, pre(n2), "n1 untracked-in all; n1 pre-dnat all; n1 forward-in all; n1 ingress a; n1 forward-out all by *"},
		{"a NodePort for a pod of another node", world, podC, pre(n1),
			"n1 untracked-in eth0 of 192.0.2.1:30000; n1 pre-dnat eth0 of 192.0.2.1:30000; n1 forward-in all; n1 forward-out all; n2 ingress c"},
		{"interfaces", podC, n1, func(_ *policy.Model, f *policy.Flow) { f.In, f.Out = "eth7", "eth9" },
			"n2 egress c by eth9; n1 untracked-in all by eth7; n1 pre-dnat all by eth7; n1 input all by eth7"},
		{"interfaces of a router", podC, world, func(_ *policy.Model, f *policy.Flow) { f.Router, f.In, f.Out = "n1", "eth7", "eth0" },
			"n2 egress c; n1 untracked-in all by eth7; n1 pre-dnat all by eth7; n1 forward-in all by eth7; n1 forward-out eth0 by eth0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := hostModel(t)
			f := policy.Flow{Src: netip.MustParseAddr(c.from), Dst: netip.MustParseAddr(c.to), Protocol: policy.TCP, SrcPort: 49152, DstPort: 80}
			if c.change != nil {
				c.change(m, &f)
			}
			var visits []string
			for _, v := range evaluate.Route(evaluate.Plain(m), f) {
				visits = append(visits, visitText(&v, f))
			}
			if diff := cmp.Diff(c.want, strings.Join(visits, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// visitText returns "n1 forward-in eth0 by eth0 of 192.0.2.1:80", or less where nothing is special.
func visitText(v *evaluate.Visit, f policy.Flow) string {
	where, who := v.Hook.String(), "nobody"
	if v.Hook == 0 {
		where = v.Direction.String()
	}
	if v.Endpoint != nil {
		who = v.Endpoint.Key.Name
	}
	text := fmt.Sprintf("%s %s %s", v.Node, where, who)
	if v.Interface != "" {
		text += " by " + v.Interface
	}
	if v.Dst != f.Dst || v.DstPort != f.DstPort {
		text += " of " + netip.AddrPortFrom(v.Dst, v.DstPort).String()
	}
	return text
}

// TestRouteAndResult holds what Result says of hosts against the route: only visits are in
// it, in their order, and none that an earlier one skips.
func TestRouteAndResult(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		ev, index := evaluate.New(m), evaluate.Plain(m)
		for range 5 {
			f := modeltest.Flows(m).Draw(t, "flow")
			route, res := evaluate.Route(index, f), ev.Evaluate(f)
			for _, h := range res.Hosts {
				for len(route) > 0 && (route[0].Hook != h.Hook || route[0].Endpoint == nil || route[0].Endpoint.Key != h.Endpoint) {
					route = route[1:]
				}
				if len(route) == 0 {
					t.Fatalf("%+v: %v of %v is no visit, or not in its place: %v", f, h.Hook, h.Endpoint, modeltest.Text{Model: m})
				}
				at := route[0]
				for _, later := range route[1:] {
					asked := func(d policy.HostDecision) bool {
						return d.Hook == later.Hook && later.Endpoint != nil && d.Endpoint == later.Endpoint.Key
					}
					if at.Skips(h.Verdict, &later) && slices.ContainsFunc(res.Hosts, asked) {
						t.Fatalf("%+v: %v is asked, which %v skips", f, later, at)
					}
				}
			}
		}
	})
}
