package translate_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// production is a cluster of 100,000 pods and 10,000 policies.
var production = modeltest.ResourceSize{Namespaces: 500, Pods: 100_000, Policies: 10_000}

// liveHeap returns the bytes that are reachable.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}

// BenchmarkMemory takes a whole cluster in, in pages that are not kept, as an
// agent on one node does. It reports what translator and engine hold then, and
// what the process does.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name string
		size modeltest.ResourceSize
	}{
		{"pods=0", modeltest.ResourceSize{Namespaces: 500, Policies: 10_000}},
		{"pods=100000", production},
		{"pods=100000/dual-stack", modeltest.ResourceSize{Namespaces: 500, Pods: 100_000, Policies: 10_000, DualStack: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var tr *translate.Translator
			var e *engine.Engine
			empty := liveHeap()
			for b.Loop() {
				tr, e = translate.New(translate.Options{}), engine.New(modeltest.IsLocal)
				for page := range modeltest.Pages(modeltest.Resources(c.size), 500) {
					tr.Apply(page, translate.Sink{Change: func(c policy.Change) { e.Apply(c) }})
				}
				e.Flush()
			}
			if file := os.Getenv("HEAP_PROFILE"); file != "" {
				writeHeap(b, file+strings.NewReplacer("/", "-", "=", "").Replace(c.name))
			}
			held := liveHeap() - empty
			peak, now := resident(b, "VmHWM:"), 0.0
			debug.FreeOSMemory()
			now = resident(b, "VmRSS:")
			runtime.KeepAlive(e)
			e = nil
			translator := liveHeap()
			runtime.KeepAlive(tr)
			tr = nil
			b.ReportMetric(held/1e6, "MB-held")
			b.ReportMetric((translator-liveHeap())/1e6, "translator-MB")
			b.ReportMetric(now, "RSS-MB")
			b.ReportMetric(peak, "peak-RSS-MB")
		})
	}
}

func writeHeap(b *testing.B, file string) {
	runtime.GC()
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		b.Fatal(err)
	}
	_ = f.Close()
}

// resident returns a figure of this process' memory, in MB.
func resident(b *testing.B, what string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, what); found {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1e3
		}
	}
	return 0
}
