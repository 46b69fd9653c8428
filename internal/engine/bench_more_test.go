package engine_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A net comes to, and goes from, a network set, among 100,000 endpoints on 1,000
// nodes that have a /24 each.
func BenchmarkNetOverEndpoints(b *testing.B) {
	m := model()
	local := endpoint("local/server", "role=server", "10.255.0.1")
	local.Node = modeltest.LocalNode
	m.Endpoints = append(m.Endpoints, local)
	for i := range 100_000 {
		addr := netip.AddrFrom4([4]byte{10, byte(64 + i%1000>>8), byte(i % 1000), byte(1 + i/1000)})
		m.Endpoints = append(m.Endpoints, endpoint(fmt.Sprintf("ns%d/p%d", i%500, i), fmt.Sprintf("app=a%d", i%20), addr.String()))
	}
	m.Policies = append(m.Policies, rulesPolicy("default", "p", 1, "role == 'server'", nil, []policy.Rule{
		{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("kind", "net")}}},
	}))
	for _, c := range []struct {
		net   string
		holds int
	}{{"192.0.0.0/10", 0}, {"10.64.0.0/22", 400}, {"10.64.0.0/20", 1600}, {"10.64.0.0/16", 25_600}, {"10.0.0.0/8", 100_000}} {
		b.Run(fmt.Sprintf("net=%s/endpoints=%d", c.net[len(c.net)-3:], c.holds), func(b *testing.B) {
			b.ReportAllocs()
			e := engine.New(modeltest.IsLocal)
			e.Apply(modeltest.Changes(nil, m)...)
			e.Flush()
			with, without := set("net", "kind=net", c.net), set("net", "kind=net", "")
			for b.Loop() {
				for _, s := range []*policy.Set{with, without} {
					e.Apply(policy.Change{Key: s.Key, Object: s})
					e.Flush()
				}
			}
		})
	}
}

// One policy with many rules, each for peers and ports of its own; and one rule
// more.
func BenchmarkManyRules(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			tcp := policy.TCP
			var rules []policy.Rule
			local := endpoint("ns/local", "app=a", "10.255.0.1")
			local.Node = modeltest.LocalNode
			m := model(local)
			for i := range n {
				port := uint16(1000 + i%50_000)
				r := policy.Rule{Index: i, Action: policy.Allow, Protocol: &tcp}
				r.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}
				if i%2 == 0 {
					r.Source.Set = &policy.PeerSet{Selector: selector.Equals("app", fmt.Sprint("a", i))}
				} else {
					r.Source.Nets = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 0}), 24)}
				}
				rules = append(rules, r)
				m.Endpoints = append(m.Endpoints, endpoint(fmt.Sprintf("ns/p%d", i), fmt.Sprint("app=a", i),
					netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
			}
			p := rulesPolicy("default", "many", 1, "all()", nil, rules)
			longer := *p
			longer.Rules[policy.Ingress] = append(append([]policy.Rule(nil), rules...), policy.Rule{Index: n, Action: policy.Deny, Protocol: &tcp})
			versions := []policy.Change{{Key: p.Key, Object: p}, {Key: p.Key, Object: &longer}}
			empty := liveHeap()
			e := engine.New(modeltest.IsLocal)
			e.Apply(modeltest.Changes(nil, m)...)
			e.Apply(versions[0])
			d := e.Flush()
			rows := len(d.AddRows)
			d = nil
			heap := liveHeap() - empty
			i := 0
			for b.Loop() {
				i++
				e.Apply(versions[i%2])
				e.Flush()
			}
			b.ReportMetric(heap/1e6, "heap-MB")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}
