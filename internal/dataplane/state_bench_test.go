package dataplane_test

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hundredThousand is a state with as many addresses.
func hundredThousand(b *testing.B) *dataplane.State {
	d := first()
	for i := range 100_000 {
		d.SetAddrs[netip.AddrFrom4([4]byte{10, byte(64 + i>>16), byte(i >> 8), byte(i)})] = 3
	}
	s := dataplane.NewState()
	if err := s.Apply(d); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkState100k reports what a state with 100,000 addresses takes.
func BenchmarkState100k(b *testing.B) {
	b.ReportAllocs()
	var s *dataplane.State
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.KeepAlive(s) // the one before goes only now
		runtime.GC()
		runtime.ReadMemStats(&before)
		s = hundredThousand(b)
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "heap-B")
	runtime.KeepAlive(s)
}

// BenchmarkStateOneAddress adds and deletes one address among 100,000.
func BenchmarkStateOneAddress(b *testing.B) {
	s := hundredThousand(b)
	a := netip.MustParseAddr("10.200.0.1")
	steps := []*dataplane.Delta{
		{SetAddrs: map[netip.Addr]dataplane.ClassID{a: 3}},
		{DelAddrs: []netip.Addr{a}},
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Apply(steps[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecide decides a flow that both ends govern.
func BenchmarkDecide(b *testing.B) {
	s := hundredThousand(b)
	f := policy.Flow{Src: pod.Next(), Dst: pod, Protocol: policy.TCP, DstPort: 80}
	b.ReportAllocs()
	for b.Loop() {
		if _, ingress := s.Decide(f); !ingress.Allow {
			b.Fatal(ingress)
		}
	}
}
