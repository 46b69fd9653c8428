// Package nodereport writes what is enforced on this node to the cluster, for the
// controller to sum up, and which addresses the node has, for who asks about connections to it.
package nodereport

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Config says what is written, and where.
type Config struct {
	// Write writes a report; nil: there are none.
	Write func(context.Context, *v1alpha1.NodePolicyReport) error
	// Version is the agent's.
	Version string
	// Applied returns when the kernel's tables were last changed; zero: never.
	Applied func() time.Time
	// NotEnforceable knows for which endpoints policy is not in force although the kernel holds it.
	NotEnforceable NotEnforceable
	// CutOff says what is probably cut off by mistake, because an interface is taken for a pod's and leads to more.
	CutOff func() []string
	// Host returns what was last found of this host's interfaces.
	Host func() hostlink.Result
	// Nodes returns how many nodes the cluster has.
	Nodes func() int
}

// NotEnforceable is an *enforceable.Component.
type NotEnforceable interface {
	Findings() []enforceable.Finding
	Affected() map[policy.Key]enforceable.Reason
}

// Component writes reports. All nodes together write so often at most that the API
// server does not notice: the more nodes there are, the longer each waits. Nothing
// else waits for a report.
type Component struct {
	component.Base
	cfg     Config
	env     component.Env
	due     chan struct{} // there may be something new to report
	results *prometheus.CounterVec

	mu      sync.Mutex
	state   Status
	failure lasterror.Error
	node    *corev1.Node // this one, as an object of the cluster; nil: there is none
}

// Status says how the reports to the cluster go.
type Status struct {
	Written *time.Time `json:"written,omitempty"` // the last one
	Error   string     `json:"error,omitempty"`   // why the present one is not written
	Writes  int        `json:"writes"`
}

const (
	// maxRate is how many reports all nodes write in a second, at most.
	maxRate = 50
	// minInterval is the least time between two reports of a node.
	minInterval = time.Second
	// writeTimeout bounds one write.
	writeTimeout = 30 * time.Second
	jitter       = 0.5 // of the interval, more at most
	minPause     = 2 * time.Second
	maxPause     = time.Minute
)

// New returns the component.
func New(env component.Env, cfg Config) component.Component {
	if cfg.Write == nil {
		return component.Base{}
	}
	c := &Component{cfg: cfg, env: env, due: make(chan struct{}, 1)}
	c.results = newMetrics(c)
	return c
}

// Start writes reports until the context ends.
func (c *Component) Start(ctx context.Context) error {
	go c.run(ctx)
	return nil
}

// Taken follows this node as an object of the cluster.
func (c *Component) Taken(b *store.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range b.Deleted {
		if k.Kind == policy.KindNode && k.Name == c.env.Node {
			c.node = nil
		}
	}
	for i := range b.Updated {
		if n, ok := b.Updated[i].Object.(*corev1.Node); ok && n.Name == c.env.Node {
			c.node = n
		}
	}
}

// AfterStep says that there may be something new to report, whether or not the attempt
// went well.
func (c *Component) AfterStep(context.Context, component.Result) { c.signal() }

func (c *Component) signal() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// interval returns the time between two reports of a node, in a cluster of so many.
func interval(nodes int) time.Duration {
	d := max(minInterval, time.Duration(nodes)*time.Second/maxRate)
	return d + time.Duration(rand.Float64()*jitter*float64(d)) //nolint:gosec // it spreads load, and hides nothing
}

// renewInterval is RenewInterval of a node, or up to a quarter less: not all nodes renew at once.
func renewInterval(nodes int) time.Duration {
	d := v1alpha1.RenewInterval(nodes)
	return d - time.Duration(rand.Float64()*float64(d)/4) //nolint:gosec // it spreads load, and hides nothing
}

// run writes reports until the context ends.
func (c *Component) run(ctx context.Context) {
	var written *v1alpha1.Report
	at := time.Now() // nothing is written before there is something to say
	pause := backoff.Backoff{Min: minPause, Max: maxPause}
	for {
		nodes := c.cfg.Nodes()
		renew := at.Add(renewInterval(nodes))
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		case <-time.After(max(minInterval, time.Until(renew))):
		}
		report := c.build()
		if written == nil || !same(written, &report.Report) || !time.Now().Before(renew) {
			timed, cancel := context.WithTimeout(ctx, writeTimeout)
			err := c.cfg.Write(timed, report)
			cancel()
			if ctx.Err() != nil {
				return
			}
			c.note(err)
			if err != nil {
				c.signal() // again
				if !sleep(ctx, interval(nodes)+pause.Next()) {
					return
				}
				continue
			}
			written, at = &report.Report, time.Now()
			pause.Reset()
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
func (c *Component) note(err error) {
	c.results.WithLabelValues(resultOf(err)).Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, changed, ended := c.failure.Set(err)
	c.state.Error = c.failure.String()
	switch {
	case changed:
		c.env.Log.Warn("the report to the cluster cannot be written; enforcement goes on", "error", err)
	case ended:
		c.env.Log.Info("the report to the cluster is written again")
	}
	if err == nil {
		now := time.Now()
		c.state.Written = &now
		c.state.Writes++
	}
}

// Status implements component.StatusReporter.
func (c *Component) Status() (field string, content any) {
	s := c.status()
	return "report", &s
}

func (c *Component) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// same compares reports but for their times.
func same(a, b *v1alpha1.Report) bool {
	x, y := *a, *b
	x.Applied, x.Renewed = y.Applied, y.Renewed
	return reflect.DeepEqual(x, y)
}
