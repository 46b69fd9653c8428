package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// take gives one batch to the model and to all components.
func (a *agent) take(b store.Batch) report {
	for _, c := range a.components {
		c.Adapt(&b)
	}
	if !b.Received.IsZero() && (a.received.IsZero() || b.Received.Before(a.received)) {
		a.received = b.Received
	}
	r := report{now: b.Findings, staleNow: b.StaleSince}
	a.model.Read(func(v model.View) { r.staleBefore = v.StaleSince() })
	first := !a.Complete()
	r.before = a.model.Take(b, func(change model.Change) {
		a.localChanged = a.localChanged || change.Local
		for _, c := range a.components {
			c.Changed(change)
		}
	}, func(s translate.Status) {
		if a.worthALine(s, first) {
			r.statuses = append(r.statuses, s)
		}
	})
	for _, c := range a.components {
		c.Taken(&b)
	}
	return r
}

// step brings the kernel to the model's state. After a failure the kernel is closed: the
// next step writes everything anew.
func (a *agent) step(ctx context.Context, s component.Step) error {
	err := a.tryStep(ctx, s)
	if err != nil {
		a.kernel.Close()
		a.progress.setFailure(err.Error())
	}
	return err
}

// tryStep is one attempt: everything is compiled and written anew if the kernel is closed,
// and what the kernel holds is compared if the step is a Resync.
func (a *agent) tryStep(ctx context.Context, s component.Step) error {
	if !a.kernel.IsOpen() { // the first step, or the one after a failure
		if err := a.kernel.Open(); err != nil {
			return err
		}
		a.model.Recompile()
		s.Full = true
	}
	s.LocalChange = a.localChanged || s.Full
	a.localChanged = false
	for _, c := range a.components {
		if err := c.BeforeStep(ctx, s); err != nil {
			return err
		}
	}
	d := a.model.Flush()
	if d == nil && s.Full { // no tables at all still replace those of an earlier agent
		d = &dataplane.Delta{}
	}
	if err := a.apply(ctx, d); err != nil {
		return err
	}
	if s.Resync && !s.Full {
		return a.check(ctx)
	}
	return nil
}

// apply takes one step of the kernel's tables, unless nothing has changed.
func (a *agent) apply(ctx context.Context, d *dataplane.Delta) error {
	if d == nil {
		a.received = time.Time{}
		return nil
	}
	start := time.Now()
	err := a.kernel.Apply(ctx, d)
	now := time.Now()
	took := now.Sub(start)
	a.metrics.applied(took, err)
	if err != nil {
		return err
	}
	first := a.progress.setApplied(now, took)
	if first {
		close(a.firstInForce)
	}
	if !a.received.IsZero() && !first { // the first state is as old as it is large
		a.metrics.delay.Observe(now.Sub(a.received).Seconds())
	}
	level := slog.LevelInfo
	if a.received.IsZero() && !first {
		level = slog.LevelDebug // nobody changed anything: addresses of domains come and go
	}
	a.received = time.Time{}
	a.log.Log(ctx, level, "in force", "took", took.Round(time.Microsecond), "programs", len(d.SetPrograms),
		"rows", len(d.AddRows), "cells", len(d.SetCells), "addresses", len(d.SetAddrs)+len(d.DelAddrs),
		"nets", len(d.SetNets)+len(d.DelNets), "endpoints", len(d.SetLocals)+len(d.DelLocals))
	return nil
}

// check reads back what the kernel holds and lets it be repaired.
func (a *agent) check(ctx context.Context) error {
	drift, err := a.kernel.Check(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, nfnl.ErrInterrupted) {
			// Whoever changes any table of the host all the time must not make us write ours anew.
			a.log.Warn("the kernel's tables could not be read in one piece, since other programs change theirs all the time; the next check tries again")
			return nil
		}
		return fmt.Errorf("check what the kernel holds: %w", err)
	}
	a.metrics.checked(drift)
	a.progress.setChecked(time.Now(), drift)
	for _, f := range drift.Findings[:min(len(drift.Findings), maxLogged)] {
		a.log.Warn("the kernel did not hold what was written", "finding", f, "repaired", drift.Repaired)
	}
	return nil
}
