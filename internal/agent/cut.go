package agent

import (
	"context"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// cutPause is between two passes over the kernel's connections. A pass takes the
// time to walk the kernel's whole table, however few connections it holds: one
// for each of a hundred changes a second would take a quarter of a core. Within
// that time a change ends the connections that it denies.
const cutPause = 100 * time.Millisecond

// cut ends the live connections that changes deny, now or, if the last pass was
// a moment ago and it need not be now, a moment later.
func (a *agent) cut(ctx context.Context, in *inputs, now bool) {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	c, ok := a.dataplane.(dataplane.Cutter)
	if !ok || !c.CutDue() {
		a.cutNow = false
		return
	}
	if wait := cutPause - time.Since(a.lastCut); wait > 0 && !now {
		in.cut.Reset(wait)
		return
	}
	start := time.Now()
	c.Cut(ctx)
	a.cutNow = false
	a.lastCut = time.Now()
	a.metrics.cut.Observe(a.lastCut.Sub(start).Seconds())
}

func (a *agent) connectionsCut() uint64 {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if c, ok := a.dataplane.(dataplane.Cutter); ok {
		return a.cutBefore + c.ConnectionsCut()
	}
	return a.cutBefore
}
