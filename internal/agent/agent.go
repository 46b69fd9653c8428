// Package agent is the node's loop: it reads a store, translates and compiles
// what it finds, keeps the kernel of this host enforcing it, and says how it is
// going: by log lines, as JSON, and as metrics.
//
// The loop is one goroutine. A batch of the store, together with all batches
// that wait behind it, becomes one delta and one atomic step of the kernel.
// If a step fails, everything is compiled and written anew after a pause, so
// that no error leaves the kernel with half of a state. Whatever happens, what
// was last in force stays in force: at the end of the agent too.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Config says what an agent does.
type Config struct {
	// Store is where resources come from: "files:DIR".
	Store string
	// Node is the name of this host in the resources: the agent enforces for
	// the endpoints of this node.
	Node string
	// MetricsAddr is the loopback address and port that serves metrics, health
	// and status; empty: none.
	MetricsAddr string
	// CheckInterval is the time between two looks at what the kernel holds; 0: 30 s.
	CheckInterval time.Duration
	// RunDir holds the lock file; empty: /run/tierwall.
	RunDir string
	// Open gives the kernel's tables. It is called again after a failed step.
	Open func() (dataplane.Dataplane, error)
	// Meddling calls changed whenever another process may have changed the
	// kernel's tables, until the context ends; nil: nobody can tell.
	Meddling func(ctx context.Context, changed func()) error
	Log      *slog.Logger
	// Version is shown in status and metrics.
	Version string

	retryPause time.Duration // before the first retry; 0: 1 s
}

const (
	defaultCheckInterval = 30 * time.Second
	defaultRetryPause    = time.Second
	maxRetry             = 30 * time.Second
)

// agent is a running one.
type agent struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	started time.Time

	// kernel guards the dataplane, which serves one caller at a time. It is nil
	// after a failed step, until the next try.
	kernel    sync.Mutex
	dataplane dataplane.Dataplane
	cutBefore uint64 // connections cut by those before it

	// mu guards what the loop writes and status reads.
	mu         sync.RWMutex
	translator *translate.Translator
	view       *view
	findings   []store.Finding // the store's, at present
	inForce    progress

	// Of the loop alone.
	engine  *engine.Engine
	journal *journal                  // nil if it cannot be kept
	earlier map[policy.Key]remembered // what it held at the start
	held    map[policy.Key]string     // restored, and still unknown to the store; with their files
	busy    atomic.Int64              // since when the loop is at work, in Unix nanoseconds; 0: it waits
}

// progress says how far the kernel is.
type progress struct {
	applied   time.Time     // of the last step; zero before the first
	took      time.Duration // it
	steps     int
	failure   string // why the kernel is behind; empty if it is not
	checked   time.Time
	repairs   int
	lastDrift []string
}

// Run enforces until the context ends, and leaves what is in force then. It
// fails if it cannot begin (nothing is changed then) and if the store ends.
func Run(ctx context.Context, cfg Config) error {
	if cfg.CheckInterval == 0 {
		cfg.CheckInterval = defaultCheckInterval
	}
	dir, err := parseStore(cfg.Store)
	if err != nil {
		return err
	}
	namespace, unlock, err := lock(cfg.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := listen(cfg.MetricsAddr)
	if err != nil {
		return err
	}
	a := newAgent(cfg)
	defer a.closeDataplane()
	if a.journal, a.earlier, err = openJournal(cfg.RunDir, namespace); err != nil {
		return err
	}
	defer func() { _ = a.journal.close() }() // every line is written at once
	if listener != nil {
		stop := a.serve(listener)
		defer stop()
	}
	return a.loop(ctx, dir)
}

func newAgent(cfg Config) *agent {
	if cfg.retryPause == 0 {
		cfg.retryPause = defaultRetryPause
	}
	a := &agent{
		cfg: cfg, log: cfg.Log, started: time.Now(),
		translator: translate.New(translate.Options{}), view: newView(cfg.Node),
		engine: newEngine(cfg.Node),
	}
	a.metrics = newMetrics(a)
	return a
}

// newEngine makes an engine for the endpoints of one node.
func newEngine(node string) *engine.Engine {
	return engine.New(func(ep *policy.Endpoint) bool { return ep.Node == node })
}

// Remove takes everything away that an agent put in force on this host. It is
// refused while an agent runs.
func Remove(ctx context.Context, cfg Config) error {
	namespace, unlock, err := lock(cfg.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	dp, err := cfg.Open()
	if err != nil {
		return err
	}
	if err := errors.Join(dp.Remove(ctx), dp.Close()); err != nil {
		return err
	}
	j, _, err := openJournal(cfg.RunDir, namespace)
	if err != nil {
		return err
	}
	return j.remove()
}
