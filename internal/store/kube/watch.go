package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/store"
)

// Watch implements store.Source.
func (s *source) Watch(ctx context.Context, deliver func(store.Batch) error) error {
	if s.opts.Namespace != "" {
		return fmt.Errorf("namespace %s alone cannot be watched: policies of other kinds apply to it too", s.opts.Namespace)
	}
	ctx, cancel := context.WithCancel(ctx)
	co := newCoalescer(kindsOf(&s.opts), s.client.host, s.timing)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()

	d := &discoverer{
		coalescer: co, client: s.client, log: s.log, look: make(chan struct{}, 1),
		running: map[*state]*run{}, missing: map[*state]time.Time{},
	}
	reflect := func(ctx context.Context, st *state) {
		r := &reflector{coalescer: co, client: s.client, state: st, log: s.log, vanished: d.lookAgain}
		r.run(ctx)
	}
	d.reflect = reflect
	for _, st := range co.states {
		if st.kind.optional {
			continue
		}
		streams.Go(func() {
			if st.kind.late() {
				select {
				case <-ctx.Done():
					return
				case <-co.filling:
				}
			}
			if st.kind.lazy {
				select {
				case <-ctx.Done():
					return
				case <-co.lazyWanted:
				}
			}
			if st.kind.isNarrow() {
				co.reflectNarrow(ctx, st, reflect)
				return
			}
			reflect(ctx, st)
		})
	}
	streams.Go(func() { d.run(ctx) })
	return s.pump(ctx, co, deliver)
}

// pump delivers batches until the context ends or deliver fails.
func (s *source) pump(ctx context.Context, co *coalescer, deliver func(store.Batch) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	w := waitReporter{report: s.opts.Waiting}
	for {
		again := w.update(co)
		for {
			b, ready, wait := co.take(time.Now())
			if !ready {
				again = sooner(again, wait)
				break
			}
			if err := deliver(b); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
			w.update(co)
		}
		timer.Stop()
		if again > 0 {
			timer.Reset(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-co.wake:
		case <-timer.C:
		}
	}
}

// waitReporter says what the first state waits for.
type waitReporter struct {
	report func([]store.Finding)
	last   []store.Finding
	done   bool
}

// update says what has changed, and gives the time after which more may have.
func (w *waitReporter) update(co *coalescer) time.Duration {
	if w.done {
		return 0
	}
	findings, again, done := co.waits(time.Now())
	w.done = done
	if w.report != nil && (done || !slices.Equal(findings, w.last)) {
		w.last = findings
		w.report(findings)
	}
	return again
}
