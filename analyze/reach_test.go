package analyze_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// pod makes a pod of "name[/owner]" with its name as the label app.
func pod(name, addresses string) *policy.Endpoint {
	name, owner, _ := strings.Cut(name, "/")
	ep := &policy.Endpoint{
		Key:      policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: name},
		Labels:   selector.NewLabels(map[string]string{"app": strings.TrimRight(name, "0123456789")}),
		Profiles: []string{"kns.ns"},
	}
	if owner != "" {
		ep.Owner = policy.Key{Kind: "Deployment", Namespace: "ns", Name: owner}
	}
	for _, a := range strings.Fields(addresses) {
		ep.Addrs = append(ep.Addrs, netip.MustParseAddr(a))
	}
	return ep
}

// ingress makes a policy that allows, to what a selector selects, what comes
// from some nets, and nothing else.
func ingress(selects string, from ...string) *policy.Policy {
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: selects}, Tier: "default",
		Selector: selector.MustParse(selects), Types: [2]bool{policy.Ingress: true},
	}
	for _, n := range from {
		p.Rules[policy.Ingress] = append(p.Rules[policy.Ingress],
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Nets: []netip.Prefix{netip.MustParsePrefix(n)}}})
	}
	return p
}

func TestReach(t *testing.T) {
	pods := func(list ...*policy.Endpoint) []*policy.Endpoint { return list }
	tests := []struct {
		name      string
		endpoints []*policy.Endpoint
		policies  []*policy.Policy
		opts      analyze.ReachOptions
		world     bool // whether pairs with the outside world are looked at
		want      []string
	}{
		{"nothing", nil, nil, analyze.ReachOptions{}, true, nil},
		{
			"no policy", pods(pod("a", "10.0.0.1"), pod("b", "10.0.0.2")), nil, analyze.ReachOptions{}, true,
			[]string{
				"ns/Pod/a > ns/Pod/b: All", "ns/Pod/a > 0.0.0.0-255.255.255.255: All",
				"ns/Pod/b > ns/Pod/a: All", "ns/Pod/b > 0.0.0.0-255.255.255.255: All",
				"0.0.0.0-255.255.255.255 > ns/Pod/a: All", "0.0.0.0-255.255.255.255 > ns/Pod/b: All",
			},
		},
		{
			"ranges that are treated alike are one, up to both ends of the family",
			pods(pod("a", "10.0.0.1")), []*policy.Policy{ingress("all()", "0.0.0.0/2", "64.0.0.0/2", "255.255.255.255/32")}, analyze.ReachOptions{}, true,
			[]string{
				"ns/Pod/a > 0.0.0.0-127.255.255.255: All", "ns/Pod/a > 128.0.0.0-255.255.255.254: All", "ns/Pod/a > 255.255.255.255-255.255.255.255: All",
				"0.0.0.0-127.255.255.255 > ns/Pod/a: All", "255.255.255.255-255.255.255.255 > ns/Pod/a: All",
			},
		},
		{
			"a net of endpoints only is no range",
			pods(pod("a", "10.0.0.2"), pod("b", "10.0.0.3")), []*policy.Policy{ingress("all()", "10.0.0.2/31")}, analyze.ReachOptions{}, true,
			[]string{
				"ns/Pod/a > ns/Pod/b: All", "ns/Pod/a > 0.0.0.0-255.255.255.255: All",
				"ns/Pod/b > ns/Pod/a: All", "ns/Pod/b > 0.0.0.0-255.255.255.255: All",
			},
		},
		{
			"families that differ", pods(pod("a", "10.0.0.1 fd00::1"), pod("b", "10.0.0.2 fd00::2"), pod("c", "fd00::3")),
			[]*policy.Policy{ingress("app == 'b'", "10.0.0.1/32"), ingress("app in {'a', 'c'}", "fd00::/64")}, analyze.ReachOptions{}, false,
			[]string{
				"ns/Pod/a > ns/Pod/b: IPv4: All", "ns/Pod/a > ns/Pod/c: All",
				"ns/Pod/b > ns/Pod/a: IPv6: All", "ns/Pod/b > ns/Pod/c: All",
				"ns/Pod/c > ns/Pod/a: All",
			},
		},
		{
			"pods that are alike are their workload", pods(pod("a1/a", "10.0.0.1"), pod("a2/a", "10.0.0.2"), pod("b", "10.0.0.3")),
			[]*policy.Policy{ingress("all()", "10.0.0.0/24")}, analyze.ReachOptions{}, false,
			[]string{"ns/Deployment/a > ns/Pod/b: All", "ns/Pod/b > ns/Deployment/a: All"},
		},
		{
			"each pod for itself", pods(pod("a1/a", "10.0.0.1"), pod("a2/a", "10.0.0.2"), pod("b", "10.0.0.3")),
			[]*policy.Policy{ingress("all()", "10.0.0.0/24")}, analyze.ReachOptions{Pods: true}, false,
			[]string{
				"ns/Pod/a1 > ns/Pod/a2: All", "ns/Pod/a1 > ns/Pod/b: All", "ns/Pod/a2 > ns/Pod/a1: All",
				"ns/Pod/a2 > ns/Pod/b: All", "ns/Pod/b > ns/Pod/a1: All", "ns/Pod/b > ns/Pod/a2: All",
			},
		},
		{
			"pods that differ are listed singly", pods(pod("a1/a", "10.0.0.1"), pod("a2/a", "10.0.0.2"), pod("b", "10.0.0.3")),
			[]*policy.Policy{ingress("app == 'a'"), ingress("app == 'b'", "10.0.0.2/32")}, analyze.ReachOptions{}, false,
			[]string{"ns/Pod/a2 > ns/Pod/b: All"},
		},
		{
			"addresses that differ are listed singly", pods(pod("a", "10.0.0.1 10.0.0.2 fd00::1"), pod("b", "10.0.0.3")),
			[]*policy.Policy{ingress("app == 'a'"), ingress("app == 'b'", "10.0.0.2/32")}, analyze.ReachOptions{}, false,
			[]string{"ns/Pod/a (10.0.0.2) > ns/Pod/b: All"},
		},
		{
			"addresses that are alike are not", pods(pod("a", "10.0.0.1 10.0.0.2"), pod("b", "10.0.0.3")),
			[]*policy.Policy{ingress("app == 'a'"), ingress("app == 'b'", "10.0.0.0/24")}, analyze.ReachOptions{}, false,
			[]string{"ns/Pod/a > ns/Pod/b: All"},
		},
		{"an endpoint without addresses", pods(pod("a", "")), nil, analyze.ReachOptions{}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &policy.Model{Tiers: policy.FixedTiers(), Policies: tt.policies, Endpoints: tt.endpoints}
			r, err := analyze.Reach(m, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range r.Pairs {
				if tt.world || p.Src.Kind == analyze.WorkloadEnd && p.Dst.Kind == analyze.WorkloadEnd {
					got = append(got, fmt.Sprintf("%v > %v: %v", p.Src, p.Dst, p.Allowed))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReachRefusesTwoObjectsOfOneKey(t *testing.T) {
	_, err := analyze.Reach(&policy.Model{Endpoints: []*policy.Endpoint{pod("a", "10.0.0.1"), pod("a", "10.0.0.2")}}, analyze.ReachOptions{})
	if err == nil || !strings.Contains(err.Error(), "ns/Pod/a twice") {
		t.Errorf("got %v", err)
	}
	if _, err := analyze.Reach(nil, analyze.ReachOptions{}); err == nil {
		t.Error("no error without a model")
	}
}
