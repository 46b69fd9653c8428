// Package gctune sets when this process collects garbage: late enough that whoever
// waits for each of its answers does not wait for a collection, early enough that a
// node's memory goes to its pods. It does nothing if GOGC says how it is to be.
package gctune

import (
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// modelPercent lets the heap grow by half of what lives in it before it is
// collected, not by all of it. What lives is the model of a whole cluster, which
// rarely changes: collections are rare, and their cost is small beside the memory.
const modelPercent = 50

// leastHeap is how large the heap may grow, in bytes, before garbage is collected
// while somebody waits for each answer of this process: DNS clients and proxies. A
// small heap is collected many times a second otherwise, and whoever asks meanwhile
// waits. A heap of half of it and more is collected as usual.
const leastHeap = 32 << 20

// SaveMemory sets the pace for a process that holds a model and answers nobody.
func SaveMemory() {
	keepWithinLimit()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(modelPercent)
	}
}

// ofLimit is how much of its control group's memory the process may use before it collects garbage
// all the time rather than grow: the rest is for what Go does not count, as the program's file.
const ofLimit = 0.85

// keepWithinLimit has the process collect garbage sooner the nearer it comes to the memory limit
// of its control group, so that the kernel does not end it while it could have. It does nothing
// without a limit, or if GOMEMLIMIT says what it is to be.
func keepWithinLimit() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	// That there is no limit, or no control group to ask, is no error here.
	_, _ = memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(ofLimit))
}

// ReturnMemory gives the system back what taking in a whole state needed.
func ReturnMemory() { debug.FreeOSMemory() }

// ReduceLatency has the heap grow to a least size before it is collected, from now
// on: somebody waits for the answers of this process.
func ReduceLatency() { process.reduceLatency() }

// process is the pace of this one.
var process pace

// pace is when garbage is collected.
type pace struct {
	once    sync.Once
	percent int
}

func (p *pace) reduceLatency() {
	p.once.Do(func() {
		if _, set := os.LookupEnv("GOGC"); !set {
			p.percent = 100
			p.adjust()
		}
	})
}

// adjust sets the pace by what the last collection has left, and is called again
// after the next one, when the finalizer of something that nobody holds runs.
func (p *pace) adjust() {
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(live)
	percent := growth(live[0].Value.Uint64())
	if percent*10 < p.percent*9 || percent*9 > p.percent*10 { // setting it stops the world
		debug.SetGCPercent(percent)
		p.percent = percent
	}
	runtime.SetFinalizer(&struct{ _ [64]byte }{}, func(any) { p.adjust() })
}

// growth returns by how many percent a heap may grow that has so many bytes in use.
func growth(live uint64) int {
	const usual, most = 100, 10_000
	if live >= leastHeap/2 {
		return usual
	}
	return int(min(most, (leastHeap-live)*100/max(live, 1)))
}
