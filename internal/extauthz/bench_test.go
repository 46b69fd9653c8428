package extauthz

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// benchState is a cluster with tiers and policies, and one of HTTP rules for all.
func benchState() (*State, []*authv3.CheckRequest) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 100, Workloads: 10, Replicas: 10})
	var paths []policy.HTTPPath
	for _, p := range []string{"/health", "/api/v1/users", "/api/v1/items", "/api/v1/orders"} {
		paths = append(paths, policy.HTTPPath{Prefix: p})
	}
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "http"}, Tier: m.Tiers[0].Name, Order: -1,
		Selector: selector.All(), Types: [2]bool{policy.Ingress: true},
	}
	p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, HTTP: &policy.HTTPMatch{Methods: []string{"GET", "POST"}, Paths: paths}}}
	m.Policies = append(m.Policies, p)
	s := NewState(modeltest.LocalNode)
	s.Apply(modeltest.Changes(nil, m))
	s.Ready()
	var held []netip.Addr
	for _, ep := range m.Endpoints {
		held = append(held, ep.Addrs[0])
	}
	var asks []*authv3.CheckRequest
	for i := range 1000 {
		r := request(held[(i*7+1)%len(held)].String(), held[i*3%100].String(), "GET", []string{"/api/v1/orders/4711?x=y", "/admin"}[i%2])
		for _, h := range []string{"user-agent", "accept", "x-request-id", "x-forwarded-proto", ":path", ":method", ":scheme"} {
			r.Attributes.Request.Http.Headers[h] = "some value of a header"
		}
		asks = append(asks, r)
	}
	return s, asks
}

// BenchmarkDecide is what a decision costs without the wire.
func BenchmarkDecide(b *testing.B) {
	s, asks := benchState()
	server := &Server{state: s}
	var requests []*CheckRequest
	var raws [][]byte
	for _, r := range asks {
		raw, err := proto.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		raws = append(raws, raw)
		requests = append(requests, asked(b, r))
	}
	for _, c := range []struct {
		name string
		do   func(i int)
	}{
		{"decision", func(i int) { _, _ = s.Decide(requests[i]) }},
		{"answer", func(i int) { // from bytes to bytes
			q := &CheckRequest{}
			_ = q.unmarshal(raws[i])
			_ = server.check(b.Context(), q).marshal()
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.do(i % len(raws))
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

// BenchmarkServe asks over a socket, as proxies do. Client and server share the machine.
func BenchmarkServe(b *testing.B) {
	s, asks := benchState()
	server, conn := served(b, s)
	server.Ready()
	client := authv3.NewAuthorizationClient(conn)
	for _, atOnce := range []int{1, 8, 64} {
		b.Run(map[int]string{1: "one at a time", 8: "8 at once", 64: "64 at once"}[atOnce], func(b *testing.B) {
			took := make([][]time.Duration, atOnce)
			b.ReportAllocs()
			b.ResetTimer()
			var wait sync.WaitGroup
			for w := range atOnce {
				wait.Go(func() {
					for i := w; i < b.N; i += atOnce {
						began := time.Now()
						if _, err := client.Check(b.Context(), asks[i%len(asks)]); err != nil {
							b.Error(err)
							return
						}
						took[w] = append(took[w], time.Since(began))
					}
				})
			}
			wait.Wait()
			all := slices.Concat(took...)
			slices.Sort(all)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
		})
	}
}

// BenchmarkAfterChange is the first decision about an endpoint after a change of policy.
func BenchmarkAfterChange(b *testing.B) {
	s, asks := benchState()
	tier := policy.FixedTiers()[1]
	q := asked(b, asks[1])
	b.ReportAllocs()
	for b.Loop() {
		s.Apply([]policy.Change{{Key: tier.ObjectKey(), Object: tier}})
		_, _ = s.Decide(q)
	}
}
