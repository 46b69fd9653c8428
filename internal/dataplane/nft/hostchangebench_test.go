package nft

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// benchHostChange measures changes in turns at a host endpoint of so many policies:
// all of it, from the change to the kernel. "messages" is what the kernel was told
// with the last one.
func benchHostChange(b *testing.B, n int, changes ...policy.Change) {
	dp, err := New(Options{NetNS: newNamespace(b), KeepConnections: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = dp.Close() })
	e := engine.New(modeltest.IsLocal)
	e.Apply(modeltest.Changes(nil, modeltest.HostPolicies(n))...)
	apply(b, dp, e.Flush())
	// What the first change leaves behind, both turns find.
	for _, c := range changes {
		e.Apply(c)
		apply(b, dp, e.Flush())
	}
	b.ReportAllocs()
	processorTime(b)
	var d *dataplane.Delta
	for i := 0; b.Loop(); i++ {
		e.Apply(changes[i%len(changes)])
		d = e.Flush()
		if err := dp.Apply(context.Background(), d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(dp.w.Messages()), "messages")
	if dp.rewrites > 0 {
		b.Fatal("the kernel refused a step")
	}
}

var hostPolicyCounts = []int{1, 100, 1_000}

// BenchmarkHostPolicyChange changes one rule of one policy of a host endpoint.
func BenchmarkHostPolicyChange(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchHostChange(b, n, modeltest.HostPolicyChange(n/2, 8443), modeltest.HostPolicyChange(n/2, 8080))
		})
	}
}

// BenchmarkHostSetChange adds a net to the set that one policy of a host endpoint
// names, and takes it away.
func BenchmarkHostSetChange(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchHostChange(b, n,
				modeltest.HostSetChange(n/2, netip.MustParsePrefix("203.0.113.0/24")), modeltest.HostSetChange(n/2))
		})
	}
}

// BenchmarkHostSetAddress does the same with a single address.
func BenchmarkHostSetAddress(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchHostChange(b, n,
				modeltest.HostSetChange(n/2, netip.MustParsePrefix("203.0.113.7/32")), modeltest.HostSetChange(n/2))
		})
	}
}
