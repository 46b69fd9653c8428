package cni

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkAdd is the start of a pod's network, one after the other and as many as a node takes at
// once, with an enforcer that is done at once. What the plugin adds, its execution
// included, is the difference between with and without. TIERWALL=FILE measures another
// program than this test.
func BenchmarkAdd(b *testing.B) {
	for _, atOnce := range []int{1, 110} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("pods=%d/plugin=%v", atOnce, with), func(b *testing.B) { benchmarkAdd(b, atOnce, with) })
		}
	}
}

func benchmarkAdd(b *testing.B, atOnce int, with bool) {
	n := newRuntimeNode(b)
	ours := ""
	if with {
		s, err := Listen(ServerConfig{Socket: n.socket(), Enforcer: newTables(true), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx) }()
		defer func() { cancel(); <-done }()
		ours = n.ours(`, "timeout": "1m50s"`)
	}
	list := n.list("1.0.0", "ptp", ours)
	var mu sync.Mutex
	var took []time.Duration
	for range b.N {
		b.StopTimer()
		sandboxes := make([]sandbox, atOnce)
		for i := range sandboxes {
			sandboxes[i] = n.newSandbox(fmt.Sprintf("c%d", i), fmt.Sprintf("p%d", i))
		}
		b.StartTimer()
		var work sync.WaitGroup
		for _, s := range sandboxes {
			work.Go(func() {
				begin := time.Now()
				if _, err := n.add(b.Context(), list, s); err != nil {
					b.Error(err)
				}
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
			})
		}
		work.Wait()
		b.StopTimer()
		for _, s := range sandboxes {
			work.Go(func() {
				if err := n.del(b.Context(), list, s); err != nil {
					b.Error(err)
				}
				_ = s.ns.Close()
			})
		}
		work.Wait()
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
