package agent

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/gctune"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// BenchmarkLargeCluster takes a large cluster in, with the kernel's real tables, and
// reports what the process needs then, in MB, and the time until it is in force.
// The peak includes this benchmark's own work of making the objects.
func BenchmarkLargeCluster(b *testing.B) {
	lab.Require(b)
	l, err := lab.New(lab.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	gctune.SaveMemory()
	for range b.N {
		c := make(cluster)
		a, err := newAgent(Config{
			Source: c, Node: modeltest.LocalNode, CheckInterval: time.Hour, Log: discard, retryPause: time.Second, RunDir: b.TempDir(),
			Open: func() (dataplane.Dataplane, error) {
				return nft.New(nft.Options{NetNS: "/proc/self/fd/" + strconv.Itoa(l.Node().FD()), Logger: discard})
			},
		}, 1)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- a.loop(ctx) }()
		start := time.Now()
		for batch := range modeltest.Pages(modeltest.Resources(modeltest.ResourceSize{Namespaces: 2000, Pods: 100_000, Policies: 10_000}), 1000) {
			batch.More = true
			c <- batch
		}
		c <- store.Batch{}
		for a.NotReady() != "" {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/state")
		c <- store.Batch{} // the loop is done with what comes after the first state
		c <- store.Batch{Deleted: []policy.Key{{Kind: "Pod", Name: "none"}}}
		rss, peak := memoryOf(b)
		b.ReportMetric(rss, "MB-rss")
		b.ReportMetric(peak, "MB-peak")
		b.ReportMetric(float64(a.status().LocalEndpoints), "local-endpoints")
		if path := os.Getenv("HEAP_PROFILE"); path != "" {
			writeHeap(b, path)
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		a.close()
	}
}

// writeHeap writes what lives, for go tool pprof.
func writeHeap(b *testing.B, path string) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	runtime.GC()
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		b.Fatal(err)
	}
}

// memoryOf returns the process's resident memory, now and at most, in MB.
func memoryOf(b *testing.B) (now, peak float64) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc/self", "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, peak
}
