// Package conncut ends live connections that a change of policy denies.
package conncut

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
)

// minInterval is between two passes over the kernel's connections. A pass takes the
// time to walk the kernel's whole table, however few connections it holds: one
// for each of a hundred changes a second would take a quarter of a core. Within
// that time a change ends the connections that it denies.
const minInterval = 100 * time.Millisecond

var cutDesc = prometheus.NewDesc("tierwall_connections_cut_total",
	"Live connections ended because a change of policy denies them.", nil, nil)

// Component ends connections after the attempts that deny them.
type Component struct {
	component.Base
	env  component.Env
	took prometheus.Histogram

	// Of the loop alone.
	last  time.Time   // the last pass
	later *time.Timer // the next one; nil before Start
	// urgent says that endpoints here have other addresses: before somebody is told
	// that policy holds for one, connections of who had its address before are cut.
	urgent bool
}

// New returns the component.
func New(env component.Env) *Component {
	c := &Component{env: env, took: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tierwall_cut_seconds",
		Help:    "Time of the passes over the kernel's connections that end those which a change denies.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12), // 0.5 ms to 1 s
	})}
	env.Metrics.MustRegister(c.took, c)
	return c
}

// Start makes the timer of passes that are put off.
func (c *Component) Start(ctx context.Context) error {
	c.later = time.AfterFunc(minInterval, func() {
		_ = c.env.Call(ctx, func() { c.cut(ctx) })
	})
	c.later.Stop()
	return nil
}

// Changed notes endpoints here that have other addresses.
func (c *Component) Changed(change model.Change) { c.urgent = c.urgent || change.Local }

// AfterStep ends the live connections that changes deny, now or, if the last pass was a
// moment ago and it need not be now, a moment later.
func (c *Component) AfterStep(ctx context.Context, r component.Result) {
	if r.Err != nil {
		return
	}
	wait := minInterval - time.Since(c.last)
	if wait > 0 && !c.urgent && c.env.Kernel.CutDue() {
		c.later.Reset(wait)
		return
	}
	c.cut(ctx)
}

func (c *Component) cut(ctx context.Context) {
	c.urgent = false
	if !c.env.Kernel.CutDue() {
		return
	}
	start := time.Now()
	c.env.Kernel.Cut(ctx)
	c.last = time.Now()
	c.took.Observe(c.last.Sub(start).Seconds())
}

// Close ends the wait for another pass.
func (c *Component) Close() error {
	if c.later != nil {
		c.later.Stop()
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c *Component) Describe(ch chan<- *prometheus.Desc) { ch <- cutDesc }

// Collect implements prometheus.Collector.
func (c *Component) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(cutDesc, prometheus.CounterValue, float64(c.env.Kernel.ConnectionsCut()))
}
