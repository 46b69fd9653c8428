package analyze_test

import (
	"fmt"
	"testing"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/modeltest"
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
