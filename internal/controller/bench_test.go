package controller

import (
	"fmt"
	"runtime"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tierwall/tierwall/api/v1alpha1"
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// The size of a large cluster.
const (
	benchPolicies = 10_000
	benchNodes    = 1000
)

// benchReport is the report of a node with n of the policies.
func benchReport(node, n int) *v1alpha1.Report {
	r := &v1alpha1.Report{Endpoints: 100}
	for i := range n {
		r.Policies = append(r.Policies, v1alpha1.ReportedPolicy{
			Kind: policy.KindGlobalNetworkPolicy, Name: fmt.Sprintf("policy-%d", (node*37+i*7)%benchPolicies),
			Generation: 1, Endpoints: int32(1 + i%5),
		})
	}
	return r
}

func benchBatch() store.Batch {
	var b store.Batch
	for i := range benchPolicies {
		name := fmt.Sprintf("policy-%d", i)
		b.Updated = append(b.Updated, store.Resource{Key: gnpKey(name), Object: &v3.GlobalNetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(fmt.Sprintf("uid-%d", i)), Generation: 1},
			Spec: v3.GlobalNetworkPolicySpec{
				Selector: fmt.Sprintf("app == 'a%d'", i),
				Ingress: []v3.Rule{{
					Action: v3.Allow, Protocol: new(v3.Protocol("TCP")), Source: v3.EntityRule{Selector: fmt.Sprintf("app == 'b%d'", i)},
					Destination: v3.EntityRule{Ports: []v3.Port{"80", "443"}},
				}},
			},
		}})
	}
	return b
}

// BenchmarkState takes in 10,000 policies and the reports of 1,000 nodes, each
// with so many policies, and says what there is to say of each policy.
func BenchmarkState(b *testing.B) {
	for _, n := range []int{100, 1000, v1alpha1.MaxPolicies} {
		b.Run(fmt.Sprintf("%d policies per node", n), func(b *testing.B) {
			batch := benchBatch()
			b.ReportAllocs()
			for b.Loop() {
				before := heap()
				s := newState()
				s.take(batch)
				for node := range benchNodes {
					s.report(fmt.Sprintf("node-%d", node), "", benchReport(node, n))
				}
				for i := range benchPolicies {
					s.desired(gnpKey(fmt.Sprintf("policy-%d", i)), metav1.Now().Time)
				}
				b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
				runtime.KeepAlive(s)
			}
		})
	}
}

// BenchmarkReport takes in one node's report in which one number has changed.
func BenchmarkReport(b *testing.B) {
	for _, n := range []int{100, v1alpha1.MaxPolicies} {
		b.Run(fmt.Sprintf("%d policies", n), func(b *testing.B) {
			s := newState()
			s.take(benchBatch())
			for node := range benchNodes {
				s.report(fmt.Sprintf("node-%d", node), "", benchReport(node, 100))
			}
			r := benchReport(1, n)
			b.ReportAllocs()
			for b.Loop() {
				r.Policies[0].Endpoints++
				s.report("node-1", "", r)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
