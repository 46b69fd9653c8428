package analyze_test

import (
	"fmt"
	"testing"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/modeltest"
)

// All pairs of a production-shaped cluster, the engine's work included.
func BenchmarkReach(b *testing.B) {
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
