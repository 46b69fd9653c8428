package agent

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/tierwall/tierwall/api/v1alpha1"
)

// A reporter writes what is enforced on this node to the cluster, for the
// controller to sum up. All nodes together write so often at most that the API
// server does not notice: the more nodes there are, the longer each waits. Nothing
// else waits for a report.
type reporter struct {
	a      *agent
	signal chan struct{}

	mu    sync.Mutex
	state ReportStatus
}

// ReportStatus says how the reports to the cluster go.
type ReportStatus struct {
	Written *time.Time `json:"written,omitempty"` // the last one
	Error   string     `json:"error,omitempty"`   // why the present one is not written
	Writes  int        `json:"writes"`
}

const (
	// reportRate is how many reports all nodes write in a second, at most.
	reportRate = 50
	// minReportInterval is the least time between two reports of a node.
	minReportInterval = time.Second
	// staleReport is after how long a report is written again of which nothing
	// has changed but the time of the last change in the kernel.
	staleReport = 10 * time.Minute
	// reportTimeout bounds one write.
	reportTimeout   = 30 * time.Second
	maxReportPause  = 5 * time.Minute
	reportJitter    = 0.5 // of the interval, more at most
	reportPauseBase = 2 * time.Second
)

func newReporter(a *agent) *reporter {
	return &reporter{a: a, signal: make(chan struct{}, 1)}
}

// changed says that there may be something new to report. A nil reporter ignores it.
func (r *reporter) changed() {
	if r == nil {
		return
	}
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

// interval returns the time between two reports of a node, in a cluster of so many.
func interval(nodes int) time.Duration {
	d := max(minReportInterval, time.Duration(nodes)*time.Second/reportRate)
	return d + time.Duration(rand.Float64()*reportJitter*float64(d)) //nolint:gosec // it spreads load, and hides nothing
}

// run writes reports until the context ends.
func (r *reporter) run(ctx context.Context) {
	var written *v1alpha1.Report
	var at time.Time
	pause := reportPauseBase
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.signal:
		case <-time.After(staleReport):
		}
		report, nodes := r.a.nodeReport()
		if written == nil || !sameReport(written, &report.Report) || time.Since(at) > staleReport && !written.Applied.Equal(&report.Report.Applied) {
			timed, cancel := context.WithTimeout(ctx, reportTimeout)
			err := r.a.cfg.Report(timed, report)
			cancel()
			if ctx.Err() != nil {
				return
			}
			r.note(err)
			if err != nil {
				r.changed() // again
				if !sleep(ctx, interval(nodes)+pause) {
					return
				}
				pause = min(2*pause, maxReportPause)
				continue
			}
			written, at, pause = &report.Report, time.Now(), reportPauseBase
		}
		if !sleep(ctx, interval(nodes)) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// note keeps how a write went. An error is logged once, not at every try.
func (r *reporter) note(err error) {
	r.a.metrics.reported(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.state.Error != err.Error() {
			r.a.log.Warn("the report to the cluster cannot be written; enforcement goes on", "error", err)
		}
		r.state.Error = err.Error()
		return
	}
	if r.state.Error != "" {
		r.a.log.Info("the report to the cluster is written again")
	}
	now := time.Now()
	r.state.Written, r.state.Error = &now, ""
	r.state.Writes++
}

func (r *reporter) status() *ReportStatus {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	return &s
}

// sameReport compares reports but for the time of the last change in the kernel.
func sameReport(a, b *v1alpha1.Report) bool {
	x, y := *a, *b
	x.Applied = y.Applied
	return reflect.DeepEqual(x, y)
}
