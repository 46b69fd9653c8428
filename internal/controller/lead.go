package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/policy"
)

// leader is a controller while it leads.
type leader struct {
	cfg     *Config
	metrics *metrics
	source  store.Source
	client  *client
	served  *served
	state   *state
	queue   *queue
	nodes   *nodes
	limit   flowcontrol.RateLimiter
	log     *slog.Logger

	mu sync.Mutex
	// The sync barrier: unsynced is what has to be read once before anything is
	// written, and ready is closed when all of it has been.
	unsynced map[string]bool
	ready    chan struct{}
	failed   map[policy.Key]string
}

const (
	theObjects = "objects"
	theReports = "reports"
	// workers is how many writes may be under way at once.
	workers = 4
)

func newLeader(cfg *Config, m *metrics) (*leader, error) {
	c, err := newClient(cfg.Kube)
	if err != nil {
		return nil, err
	}
	l := &leader{
		cfg: cfg, metrics: m, client: c, log: cfg.Log,
		served:   &served{client: c, log: cfg.Log, stale: make(chan struct{}, 1)},
		state:    newState(),
		queue:    newQueue(),
		nodes:    newNodes(),
		limit:    flowcontrol.NewTokenBucketRateLimiter(cfg.StatusQPS, max(1, int(cfg.StatusQPS)*5)),
		unsynced: map[string]bool{theObjects: true, theReports: true},
		ready:    make(chan struct{}),
		failed:   map[policy.Key]string{},
	}
	l.source, err = kube.New(cfg.Kube, kube.Options{PolicyOnly: true, Log: cfg.Log, Waiting: l.waiting})
	return l, err
}

// lead works until the context ends.
func (l *leader) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := l.begin(ctx); err != nil {
		return err
	}
	var group sync.WaitGroup
	failed := make(chan error, 1) // the first failure; what follows from it is of no interest
	run := func(what string, f func(context.Context) error) {
		group.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				select {
				case failed <- fmt.Errorf("%s: %w", what, err):
				default:
				}
				cancel()
			}
		})
	}
	run("read policy", func(ctx context.Context) error { return l.source.Watch(ctx, l.take) })
	run("read reports", func(ctx context.Context) error {
		r := &reports{state: l.state, put: l.put, synced: func() { l.markSynced(theReports) }, log: l.log}
		return r.follow(ctx, l.cfg.Kube)
	})
	run("ask what is served", l.keepAsking)
	run("look at nodes", l.watchNodes)
	run("keep the fixed tiers", l.keepFixedTiers)
	for range workers {
		run("write", l.work)
	}
	<-ctx.Done()
	l.queue.ShutDown()
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// begin reads what statuses there are, until that works.
func (l *leader) begin(ctx context.Context) error {
	var last lasterror.Error
	pause := backoff.Backoff{Min: minRetry, Max: maxRetry}
	for {
		statuses, err := l.statuses(ctx)
		if err == nil {
			l.state.begin(statuses)
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if _, changed, _ := last.Set(err); changed {
			l.log.Warn("the present statuses cannot be read; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff.Jitter(pause.Next())):
		}
	}
}

func (l *leader) statuses(ctx context.Context) (map[policy.Key]existing, error) {
	if _, err := l.served.ask(ctx); err != nil {
		return nil, err
	}
	out := map[policy.Key]existing{}
	for _, k := range kinds {
		if !l.served.has(k) {
			continue
		}
		if err := l.client.statuses(ctx, k, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// take takes a batch of the store in.
func (l *leader) take(b store.Batch) error {
	l.put(l.state.take(b))
	if !b.More {
		l.markSynced(theObjects)
	}
	return nil
}

func (l *leader) put(changes []change) { l.queue.put(changes) }

// markSynced notes that something has been read once. Before all is, nothing is written:
// half of it would make policies look as if they were not in force.
func (l *leader) markSynced(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.unsynced[what] {
		return
	}
	delete(l.unsynced, what)
	if len(l.unsynced) == 0 {
		l.put(l.state.complete())
		close(l.ready)
		debug.FreeOSMemory() // what was read is larger than what is kept
		l.log.Info("leading: all policies and reports are read")
	}
}

func (l *leader) waiting(findings []store.Finding) {
	for _, f := range findings {
		l.log.Warn("waiting for policy to be readable", "error", f.Error())
	}
}

// isReady reports whether all has been read once.
func (l *leader) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// keepAsking asks from time to time which kinds have a status.
func (l *leader) keepAsking(ctx context.Context) error {
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-l.served.stale:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(askSoon):
			}
		}
		changed, err := l.served.ask(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Warn("what is served cannot be asked; it is tried again", "error", err)
		}
		if changed {
			l.put(l.state.all())
		}
	}
}

// work reconciles object by object.
func (l *leader) work(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.ready:
	}
	for {
		key, end := l.queue.Get()
		if end {
			return nil
		}
		if ctx.Err() == nil {
			l.finish(ctx, key, l.reconcile(ctx, key))
		}
		l.queue.Done(key)
	}
}

// finish decides when an object's turn comes again.
func (l *leader) finish(ctx context.Context, key policy.Key, err error) {
	l.mu.Lock()
	before := l.failed[key]
	delete(l.failed, key)
	if err != nil {
		l.failed[key] = err.Error()
	}
	l.mu.Unlock()
	if err == nil {
		l.queue.Forget(key)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if before != err.Error() {
		l.log.Warn("what became of an object cannot be said; it is tried again", "object", store.ObjectName(key), "error", err)
	}
	l.queue.AddRateLimited(key)
}

// reconcile writes an object's status if it differs, and an Event if
// something is wrong with the object.
func (l *leader) reconcile(ctx context.Context, key policy.Key) error {
	s, found := l.state.desired(key, time.Now())
	if !found {
		l.queue.priority.mark([]change{{key: key}})
		return nil
	}
	if s.unsure {
		uid, generation, err := l.client.identity(ctx, s.kind, key)
		if apierrors.IsNotFound(err) {
			return nil // the store will say so
		}
		if err != nil {
			return fmt.Errorf("read it: %w", err)
		}
		l.state.identify(key, uid, generation)
		if s, found = l.state.desired(key, time.Now()); !found {
			return nil
		}
	}
	return errors.Join(l.writeStatus(ctx, key, &s), l.writeEvent(ctx, key, &s))
}

func (l *leader) writeStatus(ctx context.Context, key policy.Key, s *reconciliation) error {
	if l.served.seen(s.kind); !s.differs || !l.served.has(s.kind) {
		return nil
	}
	if err := l.limit.Wait(ctx); err != nil {
		return err
	}
	err := l.client.writeStatus(ctx, s.kind, key, s.uid, &s.status)
	l.metrics.wrote("status", err)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// It is gone, or another one of its name is there: the store will say so.
		return nil
	case err != nil:
		return fmt.Errorf("write its status: %w", err)
	}
	l.state.noteStatus(key, s.uid, &s.status)
	return nil
}

func (l *leader) writeEvent(ctx context.Context, key policy.Key, s *reconciliation) error {
	if s.validity.valid() {
		return nil
	}
	if left := repeatEvent - time.Since(s.lastEvent.at); s.lastEvent.name == eventName(s, key) && left > time.Second {
		l.queue.AddAfter(key, left)
		return nil
	}
	if err := l.limit.Wait(ctx); err != nil {
		return err
	}
	now, err := l.client.ensureEvent(ctx, s, key, l.cfg.Identity, time.Now())
	l.metrics.wrote("event", err)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case err != nil:
		return fmt.Errorf("write an Event: %w", err)
	}
	if s.lastEvent.name != now.name {
		l.log.Warn("an object is invalid", "object", store.ObjectName(key), "problem", s.validity.message)
	}
	l.state.noteEvent(key, s.uid, now)
	l.queue.AddAfter(key, repeatEvent)
	return nil
}

// counts counts objects by kind, and nodes.
func (l *leader) counts() (valid, invalid map[*kind]int, nodes, failing int) {
	l.state.mu.Lock()
	defer l.state.mu.Unlock()
	valid, invalid = map[*kind]int{}, map[*kind]int{}
	for _, o := range l.state.subjects {
		if o.validity.valid() {
			valid[o.kind]++
		} else {
			invalid[o.kind]++
		}
	}
	return valid, invalid, len(l.state.rollups.nodes), l.state.rollups.failing()
}
