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
	g := newGather(kindsOf(&s.opts), s.client.host, s.timing)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()

	d := &discoverer{
		gather: g, client: s.client, log: s.log, look: make(chan struct{}, 1),
		running: map[*state]*run{}, missing: map[*state]time.Time{},
	}
	follow := func(ctx context.Context, st *state) {
		f := &follower{gather: g, client: s.client, state: st, log: s.log, vanished: d.lookAgain}
		f.run(ctx)
	}
	d.follow = follow
	for _, st := range g.states {
		if st.kind.optional {
			continue
		}
		streams.Go(func() {
			if st.kind.late() {
				select {
				case <-ctx.Done():
					return
				case <-g.filling:
				}
			}
			if st.kind.onDemand {
				select {
				case <-ctx.Done():
					return
				case <-g.demanded:
				}
			}
			if st.kind.isNarrow() {
				g.followWidening(ctx, st, follow)
				return
			}
			follow(ctx, st)
		})
	}
	streams.Go(func() { d.run(ctx) })
	return s.pump(ctx, g, deliver)
}

// pump delivers batches until the context ends or deliver fails.
func (s *source) pump(ctx context.Context, g *gather, deliver func(store.Batch) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	w := waiter{tell: s.opts.Waiting}
	for {
		again := w.update(g)
		for {
			b, ready, wait := g.take(time.Now())
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
			w.update(g)
		}
		timer.Stop()
		if again > 0 {
			timer.Reset(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.wake:
		case <-timer.C:
		}
	}
}

// waiter says what the first state waits for.
type waiter struct {
	tell func([]store.Finding)
	told []store.Finding
	done bool
}

// update says what has changed, and gives the time after which more may have.
func (w *waiter) update(g *gather) time.Duration {
	if w.done {
		return 0
	}
	findings, again, done := g.waits(time.Now())
	w.done = done
	if w.tell != nil && (done || !slices.Equal(findings, w.told)) {
		w.told = findings
		w.tell(findings)
	}
	return again
}
