package agent

import (
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
)

// leastHeap is how large the heap may grow, in bytes, before garbage is collected
// while somebody waits for each answer of this process: DNS clients and proxies. A
// small heap is collected many times a second otherwise, and whoever asks meanwhile
// waits. A heap of half of it and more is collected as usual.
const leastHeap = 32 << 20

// gcPace is when this process collects garbage.
type gcPace struct {
	once    sync.Once
	percent int
}

// garbage is the one that there is.
var garbage gcPace

// calm has the heap grow to leastHeap before it is collected, from now on, unless
// GOGC says how it is to be.
func (c *gcPace) calm() {
	c.once.Do(func() {
		if _, set := os.LookupEnv("GOGC"); !set {
			c.percent = 100
			c.tune()
		}
	})
}

// tune sets the pace by what the last collection has left, and is called again
// after the next one, when the finalizer of something that nobody holds runs.
func (c *gcPace) tune() {
	live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runtimemetrics.Read(live)
	percent := growth(live[0].Value.Uint64())
	if percent*10 < c.percent*9 || percent*9 > c.percent*10 { // setting it stops the world
		debug.SetGCPercent(percent)
		c.percent = percent
	}
	runtime.SetFinalizer(&struct{ _ [64]byte }{}, func(any) { c.tune() })
}

// growth returns by how many percent a heap may grow that has so many bytes in use.
func growth(live uint64) int {
	const usual, most = 100, 10_000
	if live >= leastHeap/2 {
		return usual
	}
	return int(min(most, (leastHeap-live)*100/max(live, 1)))
}
