package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// loop takes batches in until the context or the store ends.
func (a *agent) loop(ctx context.Context, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	batches, ended := follow(ctx, dir)
	defer func() {
		cancel()
		if err := <-ended; err != nil { // the watch holds no files any more
			a.log.Debug("the watch of the store ended", "error", err)
		}
	}()
	check := time.NewTicker(a.cfg.CheckInterval)
	defer check.Stop()
	retry := time.NewTimer(0)
	<-retry.C
	pause := a.cfg.retryPause
	settle := func(err error) { // after each step: all well, or try again later
		if err == nil {
			pause = a.cfg.retryPause
			return
		}
		a.log.Error("the kernel does not hold the present policy; trying again", "error", err, "in", pause)
		retry.Reset(pause)
		pause = min(2*pause, maxRetry)
	}
	meddled := a.notifications(ctx)
	first := true
	for {
		a.busy.Store(0)
		select {
		case <-ctx.Done():
			a.log.Info("ending; what is in force stays in force", "node", a.cfg.Node)
			return nil
		case err := <-ended:
			ended <- err // for the deferred receive
			if err == nil || ctx.Err() != nil {
				continue
			}
			return fmt.Errorf("store files:%s: %w", dir, err)
		case b := <-batches:
			a.busy.Store(time.Now().UnixNano())
			if first {
				if err := usable(dir, b); err != nil {
					return err
				}
				a.restore(b)
				a.log.Info("enforcing", "node", a.cfg.Node, "store", a.cfg.Store, "objects", len(b.Updated))
			}
			reports := a.takeAll(b, batches)
			settle(a.step(ctx))
			a.report(reports, first) // after the kernel: it may take its time
			if first {
				a.warnIfNothingIsLocal()
			}
			first = false
		case <-retry.C:
			a.busy.Store(time.Now().UnixNano())
			settle(a.rebuild(ctx))
		case <-check.C:
			a.busy.Store(time.Now().UnixNano())
			if !first && !a.behind() {
				settle(a.check(ctx))
			}
		case <-meddled:
			a.busy.Store(time.Now().UnixNano())
			if !first && !a.behind() {
				settle(a.check(ctx))
			}
		}
	}
}

// warnIfNothingIsLocal tells a wrong node name from a node without endpoints, as
// far as that can be told.
func (a *agent) warnIfNothingIsLocal() {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.view.locals) > 0 {
		return
	}
	a.log.Warn("no endpoint of the store is on this node, so nothing is enforced; is the name right (--node)?",
		"node", a.cfg.Node, "nodes", nodesOf(a.translator.Model()))
}

// nodesOf lists the nodes that endpoints are on.
func nodesOf(m *policy.Model) string {
	var nodes []string
	for _, ep := range m.Endpoints {
		if ep.Node != "" && !slices.Contains(nodes, ep.Node) {
			nodes = append(nodes, ep.Node)
		}
	}
	slices.Sort(nodes)
	if len(nodes) == 0 {
		return "none"
	}
	return strings.Join(nodes[:min(len(nodes), maxLogged)], ", ")
}

// takeAll takes a batch in, and all that wait behind it.
func (a *agent) takeAll(b store.Batch, more <-chan store.Batch) []report {
	reports := []report{a.take(b)}
	for {
		select {
		case b = <-more:
			reports = append(reports, a.take(b))
		default:
			return reports
		}
	}
}

// take gives one batch to translator and engine.
func (a *agent) take(b store.Batch) report {
	a.settleHeld(&b)
	a.mu.Lock()
	res := a.translator.Apply(b)
	a.view.apply(res)
	r := report{before: a.findings, now: b.Findings, statuses: res.Statuses}
	a.findings = b.Findings
	a.mu.Unlock()
	a.engine.Apply(res.Changes...)
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
	d := a.engine.Flush()
	if d == nil {
		return nil
	}
	return a.apply(ctx, d)
}

// rebuild compiles everything anew and replaces what the kernel holds.
func (a *agent) rebuild(ctx context.Context) error {
	a.closeDataplane()
	dp, err := a.cfg.Open()
	if err != nil {
		a.fail(err)
		return err
	}
	a.kernel.Lock()
	a.dataplane = dp
	a.kernel.Unlock()

	a.engine = newEngine(a.cfg.Node)
	a.mu.RLock()
	m := a.translator.Model()
	a.mu.RUnlock()
	a.engine.Apply(changesOf(m)...)
	d := a.engine.Flush()
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
	took := time.Since(start)
	a.metrics.applied(took, err)
	if err != nil {
		a.closeDataplane()
		a.fail(err)
		return err
	}
	a.mu.Lock()
	a.inForce.applied, a.inForce.took, a.inForce.failure = time.Now(), took, ""
	a.inForce.steps++
	a.mu.Unlock()
	a.log.Info("in force", "took", took.Round(time.Microsecond), "programs", len(d.SetPrograms),
		"rows", len(d.AddRows), "cells", len(d.SetCells), "addresses", len(d.SetAddrs)+len(d.DelAddrs),
		"nets", len(d.SetNets)+len(d.DelNets), "endpoints", len(d.SetLocals)+len(d.DelLocals))
	return nil
}

func (a *agent) fail(err error) {
	a.mu.Lock()
	a.inForce.failure = err.Error()
	a.mu.Unlock()
}

func (a *agent) closeDataplane() {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if a.dataplane != nil {
		if c, ok := a.dataplane.(cutCounter); ok {
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
		a.closeDataplane()
		a.fail(err)
		return fmt.Errorf("check what the kernel holds: %w", err)
	}
	a.metrics.checked(drift)
	a.mu.Lock()
	defer a.mu.Unlock()
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

// changesOf gives the changes from nothing to the model.
func changesOf(m *policy.Model) []policy.Change {
	var changes []policy.Change
	add := func(o policy.Object) { changes = append(changes, policy.Change{Key: o.ObjectKey(), Object: o}) }
	for _, o := range m.Tiers {
		add(o)
	}
	for _, o := range m.Policies {
		add(o)
	}
	for _, o := range m.Sets {
		add(o)
	}
	for _, o := range m.Endpoints {
		add(o)
	}
	return changes
}
