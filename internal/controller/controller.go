package controller

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// Config says how to run a controller.
type Config struct {
	// Kube is how to reach the API server.
	Kube *rest.Config
	// Namespace is where the Lease is; without one, this controller leads at once
	// and must be the only one.
	Namespace string
	// Identity names this controller among those that wait for the Lease.
	Identity string
	// StatusQPS is how many statuses and Events are written per second at most; 0:
	// DefaultStatusQPS.
	StatusQPS float32
	// MetricsAddr is where metrics and health are served; empty: nowhere.
	MetricsAddr string
	Version     string
	Log         *slog.Logger

	// Lease is how leadership is timed; the zero value is Kubernetes' own habit.
	Lease LeaseTiming

	// nodeInterval is the time between two looks at nodes; 0: 30 s.
	nodeInterval time.Duration
}

// interval returns the time between two looks at nodes, and at what always is to be there.
func (c *Config) interval() time.Duration {
	if c.nodeInterval == 0 {
		return defaultNodeInterval
	}
	return c.nodeInterval
}

// DefaultStatusQPS keeps the agents of 1,000 nodes at 20,000 small messages per
// second in all.
const DefaultStatusQPS = 20

// LeaseTiming is how leadership is timed.
type LeaseTiming struct {
	// Duration is how long a Lease holds that is not renewed.
	Duration time.Duration
	// Renew is how long the leader tries to renew it before it gives up, less than Duration.
	Renew time.Duration
	// Retry is the time between two tries.
	Retry time.Duration
}

// Run runs a controller until the context ends or something is wrong with the
// configuration. It lets go of the Lease at the end.
func Run(ctx context.Context, cfg Config) error {
	if cfg.StatusQPS == 0 {
		cfg.StatusQPS = DefaultStatusQPS
	}
	if cfg.Lease == (LeaseTiming{}) {
		cfg.Lease = LeaseTiming{Duration: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}
	}
	c := &controller{cfg: cfg}
	c.metrics = newMetrics(c)
	l, err := listen(cfg.MetricsAddr)
	if err != nil {
		return err
	}
	if l != nil {
		defer c.serve(l)()
	}
	if cfg.Namespace == "" {
		return c.lead(ctx)
	}
	return c.elect(ctx)
}

// controller is one that leads or waits to.
type controller struct {
	cfg     Config
	metrics *metrics

	mu      sync.Mutex
	leader  *leader                             // nil while another one leads
	elected func(tolerance time.Duration) error // whether the Lease is in order; nil without one
	seen    bool                                // that the API server answers
}

// lead leads until the context ends.
func (c *controller) lead(ctx context.Context) error {
	l, err := newLeader(&c.cfg, c.metrics)
	if err != nil {
		return err
	}
	c.setLeader(l)
	defer c.setLeader(nil)
	return l.lead(ctx)
}

func (c *controller) setLeader(l *leader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = l
}

func (c *controller) present() *leader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}
