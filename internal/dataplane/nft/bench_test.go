package nft

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// BenchmarkFullProgram writes everything a node has, anew each time: 110 local
// endpoints, 500 policies, 5,000 remote pods.
func BenchmarkFullProgram(b *testing.B) {
	ns := newNamespace(b)
	d := synthetic(110, 500, 5000)
	processorTime(b)
	for b.Loop() {
		applyFresh(b, ns, d)
	}
	b.ReportAllocs()
}

// BenchmarkSet100k writes a table with 100,000 addresses in one class.
func BenchmarkSet100k(b *testing.B) {
	ns := newNamespace(b)
	d := synthetic(1, 1, 100_000)
	processorTime(b)
	for b.Loop() {
		applyFresh(b, ns, d)
	}
	b.ReportAllocs()
}

// BenchmarkSet100kIn500Classes spreads them.
func BenchmarkSet100kIn500Classes(b *testing.B) {
	ns := newNamespace(b)
	d := synthetic(110, 500, 100_000)
	processorTime(b)
	for b.Loop() {
		applyFresh(b, ns, d)
	}
	b.ReportAllocs()
}

// processorTime reports what a benchmark takes of the processors, user and
// system: on a busy machine that says more than the time on the wall.
func processorTime(b *testing.B) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	b.Cleanup(func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") })
}

func applyFresh(b *testing.B, ns string, d *dataplane.Delta) {
	dp, err := New(Options{NetNS: ns})
	if err != nil {
		b.Fatal(err)
	}
	if err := dp.Apply(context.Background(), d); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := dp.Remove(context.Background()); err != nil {
		b.Fatal(err)
	}
	_ = dp.Close()
	b.StartTimer()
}

// loaded returns a dataplane with 110 endpoints, 500 policies and 100,000 remote
// pods, which leaves connections alone: BenchmarkCut says what cutting them costs.
func loaded(b *testing.B) *Dataplane {
	dp, err := New(Options{NetNS: newNamespace(b), KeepConnections: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = dp.Close() })
	apply(b, dp, synthetic(110, 500, 100_000))
	return dp
}

// benchSteps applies one of two deltas, in turns.
func benchSteps(b *testing.B, dp *Dataplane, there, back *dataplane.Delta) {
	b.ReportAllocs()
	processorTime(b)
	for i := 0; b.Loop(); i++ {
		if err := dp.Apply(context.Background(), []*dataplane.Delta{there, back}[i%2]); err != nil {
			b.Fatal(err)
		}
	}
	if dp.rewrites > 0 {
		b.Fatal("the kernel refused a step")
	}
}

// BenchmarkOneAddress adds and deletes one pod among 100,000.
func BenchmarkOneAddress(b *testing.B) {
	a := netip.MustParseAddr("10.200.0.1")
	benchSteps(b, loaded(b),
		&dataplane.Delta{SetAddrs: map[netip.Addr]dataplane.ClassID{a: 300}},
		&dataplane.Delta{DelAddrs: []netip.Addr{a}})
}

// BenchmarkOneNet adds and deletes one CIDR.
func BenchmarkOneNet(b *testing.B) {
	p := netip.MustParsePrefix("192.0.2.0/24")
	benchSteps(b, loaded(b),
		&dataplane.Delta{SetNets: map[netip.Prefix]dataplane.ClassID{p: 300}},
		&dataplane.Delta{DelNets: []netip.Prefix{p}})
}

// BenchmarkOneCell changes what one program says to one class.
func BenchmarkOneCell(b *testing.B) {
	cell := func(row dataplane.RowID) *dataplane.Delta {
		return &dataplane.Delta{SetCells: []dataplane.Cell{{Program: 1, Class: 4, Row: row}}}
	}
	benchSteps(b, loaded(b), cell(9), cell(11))
}

// BenchmarkOneLocal adds and deletes a local endpoint with an existing program.
func BenchmarkOneLocal(b *testing.B) {
	a := netip.MustParseAddr("10.0.200.1")
	benchSteps(b, loaded(b),
		&dataplane.Delta{SetLocals: []dataplane.Local{{Addr: a, Egress: 1, Ingress: 2}}},
		&dataplane.Delta{DelLocals: []netip.Addr{a}})
}

// BenchmarkCut looks for connections to cut, where there are none. The kernel
// walks all of its hash table for that, whose size depends on the machine's memory.
func BenchmarkCut(b *testing.B) {
	ns := newNamespace(b)
	dp := newDataplane(b, ns)
	apply(b, dp, synthetic(3, 3, 3))
	for b.Loop() {
		if cut, err := dp.live.Cut(context.Background(), dp.state); err != nil || len(cut) > 0 {
			b.Fatal(cut, err)
		}
	}
}

// BenchmarkCheck100k reads everything back and compares.
func BenchmarkCheck100k(b *testing.B) {
	dp := loaded(b)
	b.ReportAllocs()
	for b.Loop() {
		drift, err := dp.Check(context.Background())
		if err != nil || len(drift.Findings) > 0 {
			b.Fatal(drift, err)
		}
	}
}
