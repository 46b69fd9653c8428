package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// take returns one batch to translator and engine.
func (a *agent) take(b store.Batch) report {
	a.settleHeld(&b)
	a.pods.adapt(&b)
	a.nodes.Store(int64(len(a.pods.nodes)))
	if !b.Received.IsZero() && (a.received.IsZero() || b.Received.Before(a.received)) {
		a.received = b.Received
	}
	r := report{before: a.findings, now: b.Findings}
	broken, first := map[policy.Key]bool{}, !a.complete()
	a.mu.Lock()
	a.translator.Take(b, translate.Sink{
		Change: func(c policy.Change) {
			moved := a.view.apply(c)
			a.relink, a.cutNow = a.relink || moved, a.cutNow || moved
			a.retap = a.retap || moved
			a.engine.Apply(a.place(c))
			a.noteDomains(c)
			a.tellAuthz(c)
		},
		Status: func(s translate.Status) {
			if a.worthALine(s, first) {
				r.statuses = append(r.statuses, s)
			}
			if first && s.State == translate.NotInForce {
				broken[s.Key] = true
			}
		},
	})
	a.findings = b.Findings
	a.noteVersions(b)
	a.noteDNSService(b)
	a.mu.Unlock()
	a.stepAuthz(&b)
	for i := range b.Updated {
		if broken[b.Updated[i].Key] {
			a.invalid[b.Updated[i].Key] = b.Updated[i]
		}
	}
	a.remember(b)
	return r
}

// behind reports whether the kernel waits for another try.
func (a *agent) behind() bool {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	return a.dataplane == nil
}

// step brings the kernel to the engine's state.
func (a *agent) step(ctx context.Context) error {
	if a.behind() { // the first step, or the one after a failure
		return a.rebuild(ctx)
	}
	if a.relink {
		a.placeHosts()
	}
	if err := a.setGuard(ctx); err != nil {
		return a.stepFailed(err)
	}
	a.setTap(ctx)
	a.mu.Lock()
	a.flushNames()
	d := a.engine.Flush()
	a.mu.Unlock()
	a.stepAuthz(nil)
	if d == nil {
		a.received = time.Time{}
		a.namesInForce()
		return nil
	}
	return a.apply(ctx, d)
}

// rebuild replaces what the kernel holds by everything, compiled anew unless
// nothing was compiled yet.
func (a *agent) rebuild(ctx context.Context) error {
	a.closeDataplane()
	dp, err := a.cfg.Open()
	if err != nil {
		return a.stepFailed(err)
	}
	a.kernel.Lock()
	a.dataplane = dp
	a.kernel.Unlock()

	a.guard, a.relink = dataplane.Guard{}, true
	a.placeHosts()
	if err := a.setGuard(ctx); err != nil {
		return a.stepFailed(err)
	}
	if a.names != nil {
		a.names.tapped = false
	}
	a.setTap(ctx)
	a.mu.Lock()
	if a.fresh {
		a.flushNames()
	} else {
		a.engine = newEngine(a.cfg.Node)
		a.translator.Each(func(c policy.Change) { a.engine.Apply(a.place(c)) })
		a.eachName()
	}
	a.fresh = false
	d := a.engine.Flush()
	a.mu.Unlock()
	if d == nil { // no tables at all still replaces those of an earlier agent
		d = &dataplane.Delta{}
	}
	return a.apply(ctx, d)
}

// apply takes one step. After a failure the dataplane is closed: the next step
// builds everything anew.
func (a *agent) apply(ctx context.Context, d *dataplane.Delta) error {
	start := time.Now()
	a.kernel.Lock()
	err := a.dataplane.Apply(ctx, d)
	a.kernel.Unlock()
	now := time.Now()
	took := now.Sub(start)
	a.metrics.applied(took, err)
	if err != nil {
		return a.stepFailed(err)
	}
	a.progressMu.Lock()
	first := a.inForce.steps == 0
	a.inForce.applied, a.inForce.took, a.inForce.failure = now, took, ""
	a.inForce.steps++
	a.progressMu.Unlock()
	a.namesInForce()
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

// stepFailed notes why the kernel is behind, and gives up the dataplane.
func (a *agent) stepFailed(err error) error {
	a.closeDataplane()
	a.progressMu.Lock()
	defer a.progressMu.Unlock()
	a.inForce.failure = err.Error()
	return err
}

func (a *agent) closeDataplane() {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if a.dataplane != nil {
		if c, ok := a.dataplane.(dataplane.Cutter); ok {
			a.cutBefore += c.ConnectionsCut()
		}
		if err := a.dataplane.Close(); err != nil {
			a.log.Warn("close the kernel's tables", "error", err)
		}
		a.dataplane = nil
	}
}

// check reads back what the kernel holds and lets it be repaired.
func (a *agent) check(ctx context.Context) error {
	a.kernel.Lock()
	drift, err := a.dataplane.Check(ctx)
	a.kernel.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return a.stepFailed(fmt.Errorf("check what the kernel holds: %w", err))
	}
	a.metrics.checked(drift)
	a.progressMu.Lock()
	defer a.progressMu.Unlock()
	a.inForce.checked = time.Now()
	if len(drift.Findings) == 0 {
		return nil
	}
	a.inForce.lastDrift = drift.Findings
	for _, f := range drift.Findings[:min(len(drift.Findings), maxLogged)] {
		a.log.Warn("the kernel did not hold what was written", "finding", f, "repaired", drift.Repaired)
	}
	if drift.Repaired {
		a.inForce.repairs++
	}
	return nil
}
