// Package resume takes up live TCP connections that connection tracking does not know.
//
// The tables drop segments that belong to no connection and begin none, so that nobody gets
// in by claiming that a connection is there. After an agent's first start on a host that
// tracked none before, and after somebody has flushed the kernel's connections, that goes for
// all that live. For a bounded time after either, the kernel tells of such segments, and the
// connections that policy allows are entered again, begun by the end with the ephemeral port, or
// by either where the ports do not tell: the segment comes again, and passes. What policy denies stays dropped, and so does all of it at any other time.
package resume

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
)

const (
	// DefaultGroup is the NFLOG group of segments that belong to no connection.
	DefaultGroup = 7412
	// Window is how long connections are taken up after an event: as long as TCP waits at
	// least before it gives a connection up that says nothing (RFC 1122: R2 of 100 s).
	Window = 120 * time.Second
	// renewInterval is between two looks whether connections were flushed.
	renewInterval = time.Second
	// gather is how long segments are gathered before the loop is asked about them.
	gather = 5 * time.Millisecond
	// maxBatch and maxSeen bound what is held: of segments under way, and of connections
	// that were asked about. More are asked about when they come again.
	maxBatch, maxSeen = 1024, 65536
	// askAgain is after how long a connection is asked about again: policy may have changed.
	askAgain = 2 * time.Second
)

// Config says where segments and news come from.
type Config struct {
	// Listen opens the group of segments; nil: nothing is taken up.
	Listen func() (Segments, error)
	// Open opens the kernel's connections.
	Open func() (Connections, error)
}

// Segments are the segments that the tables tell of.
type Segments interface {
	Receive(ctx context.Context, each func(nflog.Packet), lost func()) error
	Close() error
}

// Connections are the kernel's connections.
type Connections interface {
	// RenewSentinel reports whether all connections are gone: see conntrack.Table.
	RenewSentinel() (wasGone bool, err error)
	RemoveSentinel() error
	Close() error
}

// Open returns what an agent needs to take connections up by a group, and the group for
// the tables: 0 where that is off, or where the kernel cannot tell of packets, which is logged.
func Open(group uint16, log *slog.Logger) (Config, uint16) {
	if group == 0 {
		return Config{}, 0
	}
	l, err := nflog.Open(group)
	if err == nil {
		err = l.Close()
	}
	if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EPERM) {
		log.Warn("the kernel cannot log packets: connections that it does not know end when policy governs them", "group", group, "error", err)
		return Config{}, 0
	}
	return Config{
		Listen: func() (Segments, error) { return nflog.Open(group) },
		Open:   func() (Connections, error) { return conntrack.Open("") },
	}, group
}

// Component takes connections up.
type Component struct {
	component.Base
	cfg     Config
	env     component.Env
	resumed prometheus.Counter
	began   chan string // why a window begins
	done    sync.WaitGroup
	failure lasterror.Error // of the watch
}

// New returns the component.
func New(env component.Env, cfg Config) component.Component {
	if cfg.Listen == nil {
		return component.Base{}
	}
	c := &Component{cfg: cfg, env: env, began: make(chan string, 1), resumed: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tierwall_connections_resumed_total",
		Help: "Live TCP connections that the kernel did not know, and that policy allows, entered again.",
	})}
	env.Metrics.MustRegister(c.resumed)
	return c
}

// Start watches for flushes, and takes connections up while a window is open.
func (c *Component) Start(ctx context.Context) error {
	c.done.Add(2)
	go func() { defer c.done.Done(); c.watch(ctx) }()
	go func() { defer c.done.Done(); c.windows(ctx) }()
	return nil
}

// AfterStep opens a window once policy is in force where there was none before.
func (c *Component) AfterStep(_ context.Context, r component.Result) {
	if r.First && r.Err == nil && c.env.Kernel.Fresh() {
		c.begin("no policy was in force here before")
	}
}

// Close waits for what Start began.
func (c *Component) Close() error {
	c.done.Wait()
	return nil
}

func (c *Component) begin(why string) {
	select {
	case c.began <- why:
	default: // one is about to begin
	}
}

// watch notices when all connections were flushed.
func (c *Component) watch(ctx context.Context) {
	table, err := c.cfg.Open()
	if err != nil {
		c.env.Log.Error("flushed connections are not noticed", "error", err)
		return
	}
	defer func() { _ = errors.Join(table.RemoveSentinel(), table.Close()) }()
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for known := false; ; {
		gone, err := table.RenewSentinel()
		if began, _, _ := c.failure.Set(err); began {
			c.env.Log.Warn("flushed connections are not noticed", "error", err)
		}
		if err == nil {
			if gone && known {
				c.begin("the kernel's connections were flushed")
			}
			known = true
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// windows takes connections up for a while after each event.
func (c *Component) windows(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case why := <-c.began:
			c.env.Log.Info("live connections that policy allows are taken up", "reason", why, "for", Window)
			if err := c.window(ctx); err != nil && ctx.Err() == nil {
				c.env.Log.Error("live connections that the kernel does not know end", "error", err)
			}
		}
	}
}

// window takes connections up until its time is over; another event begins it anew.
func (c *Component) window(ctx context.Context) error {
	segments, err := c.cfg.Listen()
	if err != nil {
		return err
	}
	defer func() { _ = segments.Close() }()
	ctx, end := context.WithCancel(ctx)
	defer end()
	flows := make(chan policy.Flow, maxBatch)
	received := make(chan error, 1)
	go func() {
		received <- segments.Receive(ctx, func(p nflog.Packet) {
			select {
			case flows <- p.Flow:
			default: // it comes again
			}
		}, func() {})
	}()
	timer := time.NewTimer(Window)
	defer timer.Stop()
	forget := time.NewTicker(askAgain)
	defer forget.Stop()
	seen := map[policy.Flow]bool{}
	for {
		select {
		case <-timer.C:
			end()
			return ended(<-received)
		case err := <-received:
			return err
		case <-forget.C:
			clear(seen)
		case <-c.began: // once more
			timer.Reset(Window)
			clear(seen)
		case f := <-flows:
			if err := c.take(ctx, f, flows, seen); err != nil {
				end()
				return errors.Join(err, ended(<-received))
			}
		}
	}
}

// ended returns why segments are not received any more, if that is not the end that was asked for.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// take has the loop take up the connections of a segment and of those right behind it,
// as far as they were not asked about just now.
func (c *Component) take(ctx context.Context, first policy.Flow, more <-chan policy.Flow, seen map[policy.Flow]bool) error {
	var batch []policy.Flow
	add := func(f policy.Flow) {
		if !seen[f] {
			if len(seen) < maxSeen {
				seen[f] = true
			}
			batch = append(batch, f)
		}
	}
	add(first)
	wait := time.After(gather)
	for gathering := true; gathering && len(batch) < maxBatch; {
		select {
		case f := <-more:
			add(f)
		case <-wait:
			gathering = false
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return c.env.Call(ctx, func() {
		resumed, err := c.env.Kernel.Resume(ctx, batch)
		c.resumed.Add(float64(len(resumed)))
		if err != nil && ctx.Err() == nil {
			c.env.Log.Warn("live connections were not taken up", "error", err)
		}
	})
}
