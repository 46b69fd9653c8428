package analyze_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// All pairs of a production-shaped cluster, the engine's work included.
func BenchmarkReach(b *testing.B) {
	// netpol-analyzer, on a machine of this kind; it took longer than that for 1,000.
	peer := map[int]float64{100: 0.40e9, 300: 5.3e9, 500: 30e9, 1_000: 200e9}
	for _, workloads := range []int{100, 300, 500, 1_000} {
		b.Run(fmt.Sprintf("workloads=%d", workloads), func(b *testing.B) {
			b.ReportAllocs()
			m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: workloads / 10, Workloads: 10, Replicas: 2})
			pairs := 0
			for b.Loop() {
				r, err := analyze.Reach(m, analyze.ReachOptions{})
				if err != nil {
					b.Fatal(err)
				}
				pairs = len(r.Pairs)
			}
			b.ReportMetric(float64(pairs), "pairs")
			b.ReportMetric(peer[workloads], "netpol-analyzer-ns/op")
		})
	}
}

// The same without any policy: every pair is in the answer.
func BenchmarkReachEverything(b *testing.B) {
	b.ReportAllocs()
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 100, Workloads: 10, Replicas: 2})
	m.Policies = nil
	for b.Loop() {
		if _, err := analyze.Reach(m, analyze.ReachOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// All pairs of a cluster with a host endpoint on each of 20 nodes, and policy there
// for what the hosts themselves receive and, in the second case, for what is routed; in
// the third what comes in is not tracked.
func BenchmarkReachHosts(b *testing.B) {
	for name, options := range map[string]policy.HostOptions{
		"forward=false": {}, "forward=true": {ApplyOnForward: true}, "untracked": {ApplyOnForward: true, DoNotTrack: true},
	} {
		b.Run("workloads=300/"+name, func(b *testing.B) {
			b.ReportAllocs()
			m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 30, Workloads: 10, Replicas: 2})
			for i, ep := range m.Endpoints {
				v := *ep
				v.Node = fmt.Sprintf("node-%d", i%20)
				m.Endpoints[i] = &v
			}
			for i := range 20 {
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
				m.Endpoints = append(m.Endpoints, &policy.Endpoint{
					Key: policy.Key{Kind: policy.KindHostEndpoint, Name: fmt.Sprintf("node-%d", i)}, Node: fmt.Sprintf("node-%d", i),
					Interface: policy.AllInterfaces, Addrs: []netip.Addr{addr}, Labels: selector.NewLabels(map[string]string{"role": "host"}),
					Host: &policy.Host{Expected: []netip.Addr{addr}},
				})
			}
			p := ingress("role == 'host'", "10.0.0.0/9")
			p.Host = options
			m.Policies = append(m.Policies, p)
			pairs := 0
			for b.Loop() {
				r, err := analyze.Reach(m, analyze.ReachOptions{})
				if err != nil {
					b.Fatal(err)
				}
				pairs = len(r.Pairs)
			}
			b.ReportMetric(float64(pairs), "pairs")
		})
	}
}
