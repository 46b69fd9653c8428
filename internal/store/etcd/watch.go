package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/store"
)

// Watch implements store.Source. It returns nil when the context ends, the error
// of deliver, and the error of a first try that waiting would not fix (no
// permission, a wrong password). If etcd is away for more than a moment, a
// finding says so; what was read last stays.
//
// An object that does not parse keeps its last valid version. If etcd comes back
// as another one (restored from a backup), it is read anew; if it then holds
// nothing at all, everything stays and a finding says why.
func (s *Store) Watch(ctx context.Context, deliver func(store.Batch) error) error {
	w := &watcher{store: s, deliver: deliver, state: newState()}
	err := w.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watcher follows etcd through its outages.
type watcher struct {
	store   *Store
	deliver func(store.Batch) error
	state   *state
	at      header // what the state is of; zero: it must be read anew
	started bool   // the first batch is delivered
	away    string // why etcd cannot be followed; empty if it is
	since   time.Time
	said    []store.Finding
	sound   time.Time // when the present watch began
}

// deliverError is the end that the receiver of batches wants.
type deliverError struct{ err error }

func (e deliverError) Error() string { return e.err.Error() }
func (e deliverError) Unwrap() error { return e.err }

// run follows until the context or the receiver ends it. Each round has a
// connection of its own, so that whatever was wrong with one does not last.
func (w *watcher) run(ctx context.Context) error {
	t, log := &w.store.times, w.store.opts.Log
	pause := backoff.Backoff{Min: t.minPause, Max: t.maxPause}
	for {
		w.sound = time.Time{}
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if ended, ok := errors.AsType[deliverError](err); ok {
			return ended.err
		}
		if _, refused := errors.AsType[refusal](err); refused && !w.started {
			return fmt.Errorf("%s: %w", w.store, err)
		}
		if errors.Is(err, errCompacted) {
			log.Info("etcd has compacted its history: reading it anew", "store", w.store.String())
			w.at = header{}
		} else {
			level := slog.LevelWarn
			if !w.since.IsZero() {
				level = slog.LevelDebug // it was said
			}
			log.Log(ctx, level, "etcd cannot be followed; trying again", "store", w.store.String(), "error", err)
			if err := w.lost(err); err != nil {
				return err
			}
		}
		if !w.sound.IsZero() && time.Since(w.sound) > t.settled {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff.Jitter(pause.Next())):
		}
	}
}

// lost notes that etcd cannot be followed, and says so when that lasts.
func (w *watcher) lost(err error) error {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	if !w.started || w.away == "" && time.Since(w.since) < w.store.times.grace {
		return nil
	}
	w.away = fmt.Sprintf("cannot be followed since %s, what was read before stays in force: %s", w.since.Format(time.TimeOnly), err)
	return w.send(store.Batch{})
}

// back notes that etcd is followed again.
func (w *watcher) back() error {
	w.sound = time.Now()
	if w.since.IsZero() {
		return nil
	}
	w.store.opts.Log.Info("etcd is followed again", "store", w.store.String(), "after", time.Since(w.since).Round(time.Millisecond))
	w.since, w.away = time.Time{}, ""
	return w.send(store.Batch{})
}

// send delivers a batch with all findings, unless it says nothing new.
func (w *watcher) send(b store.Batch) error {
	b.Findings = w.state.findings()
	if w.away != "" {
		b.Findings = append([]store.Finding{{File: w.store.String(), Message: w.away}}, b.Findings...)
		b.StaleSince = w.since
	}
	if w.started && len(b.Updated) == 0 && len(b.Deleted) == 0 && slices.Equal(b.Findings, w.said) {
		return nil
	}
	if err := w.deliver(b); err != nil {
		return deliverError{err}
	}
	w.started, w.said = true, b.Findings
	return nil
}

// follow connects, reads what must be read, and takes changes in until something
// ends it.
func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := w.store.signIn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if w.at == (header{}) {
		if err := w.read(ctx, c); err != nil {
			return err
		}
	}
	return w.stream(ctx, c)
}

// read takes the whole state in, and delivers what is other than before.
func (w *watcher) read(ctx context.Context, c *clientv3.Client) error {
	kvs, at, err := w.store.readAll(ctx, c)
	if err != nil {
		return err
	}
	received := time.Now()
	if len(kvs) == 0 && w.state.isOther(at) && len(w.state.known) > 0 {
		return fmt.Errorf("is another etcd now, which holds no objects below %s: write them there, or start the agent anew to go on without", w.store.root)
	}
	batch := w.state.replace(w.store, kvs)
	w.state.at = at
	w.at = at
	batch.Received = received
	return w.send(batch)
}
