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

// A net comes and goes as in BenchmarkNetOverEndpoints, but every one of the 100,000
// endpoints has a /24, or a /120, for itself: no two of them are near each other.
func BenchmarkNetOverScatteredEndpoints(b *testing.B) {
	for _, family := range []int{4, 6} {
		m := model()
		local := endpoint("local/server", "role=server", "10.255.0.1")
		local.Node = modeltest.LocalNode
		m.Endpoints = append(m.Endpoints, local)
		for i := range 100_000 {
			n := uint32(i) * 2654435761 // spread over all
			addr := netip.AddrFrom4([4]byte{64 + byte(n>>30), byte(n >> 22), byte(n >> 14), byte(n >> 6)})
			if family == 6 {
				addr = netip.AddrFrom16([16]byte{0: 0xfd, 1: byte(n >> 24), 2: byte(n >> 16), 3: byte(n >> 8), 7: byte(n), 15: byte(i)})
			}
			m.Endpoints = append(m.Endpoints, endpoint(fmt.Sprintf("ns%d/p%d", i%500, i), fmt.Sprintf("app=a%d", i%20), addr.String()))
		}
		m.Policies = append(m.Policies, rulesPolicy("default", "p", 1, "role == 'server'", nil, []policy.Rule{
			{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("kind", "net")}}},
		}))
		nets := []string{"64.0.0.0/16", "64.16.0.0/12"}
		if family == 6 {
			nets = []string{"fd00::/24", "fd10::/18"}
		}
		for _, net := range nets {
			p, holds := netip.MustParsePrefix(net), 0
			for _, ep := range m.Endpoints {
				if p.Contains(ep.Addrs[0]) {
					holds++
				}
			}
			b.Run(fmt.Sprintf("net=%s/endpoints=%d", net, holds), func(b *testing.B) {
				b.ReportAllocs()
				before := liveHeap()
				e := engine.New(modeltest.IsLocal)
				e.Apply(modeltest.Changes(nil, m)...)
				e.Flush()
				heap := liveHeap() - before
				with, without := set("net", "kind=net", net), set("net", "kind=net", "")
				for b.Loop() {
					for _, s := range []*policy.Set{with, without} {
						e.Apply(policy.Change{Key: s.Key, Object: s})
						e.Flush()
					}
				}
				b.ReportMetric(heap/1e6, "heap-MB")
			})
		}
	}
}
