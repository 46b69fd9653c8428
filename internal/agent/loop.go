package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/gctune"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// inputs is what the loop listens to.
type inputs struct {
	batches <-chan store.Batch
	ended   chan error // the end of the watch of the store, once
	retry   *time.Timer
	pause   backoff.Backoff // before the next retry
}

// loop takes batches in until the context or the store ends.
func (a *agent) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	in := &inputs{retry: time.NewTimer(time.Hour), pause: backoff.Backoff{Min: a.cfg.retryPause, Max: maxRetry}}
	in.retry.Stop()
	in.batches, in.ended = follow(ctx, a.cfg.Source)
	defer func() {
		cancel()
		close(a.ended)
		if err := <-in.ended; err != nil { // the watch holds nothing any more
			a.log.Debug("the watch of the store ended", "error", err)
		}
	}()
	for _, c := range a.components {
		if err := c.Start(ctx); err != nil {
			return err
		}
	}
	check := time.NewTicker(a.cfg.CheckInterval)
	defer check.Stop()
	external := a.externalChanges(ctx)
	for {
		if errors.Is(a.behind, dataplane.ErrUnsupported) {
			return a.behind // no try will change that
		}
		a.busy.Store(0)
		select {
		case <-ctx.Done():
			a.log.Info("ending; what is in force stays in force", "node", a.cfg.Node)
			return nil
		case err := <-in.ended:
			in.ended <- err // for the deferred receive
			if err == nil || ctx.Err() != nil {
				continue
			}
			return fmt.Errorf("store %s: %w", a.cfg.Source, err)
		case b := <-in.batches:
			a.working()
			if err := a.onBatch(ctx, in, b); err != nil {
				return err
			}
		case call := <-a.calls:
			a.working()
			call()
			a.takeCalls()
			a.attempt(ctx, in, component.Step{}, false)
		case <-in.retry.C:
			a.working()
			a.behind = nil
			a.attempt(ctx, in, component.Step{}, false)
		case <-check.C:
			a.onCheck(ctx, in)
		case <-external:
			a.onCheck(ctx, in)
		}
	}
}

func (a *agent) working() { a.busy.Store(time.Now().UnixNano()) }

// attempt brings the kernel to what is known now, unless it waits for the next try or
// nothing is known yet.
func (a *agent) attempt(ctx context.Context, in *inputs, s component.Step, first bool) {
	if !a.Complete() {
		return
	}
	if a.behind == nil {
		a.behind = a.step(ctx, s)
		if a.behind == nil {
			in.pause.Reset()
		} else {
			pause := in.pause.Next()
			a.log.Error("the kernel does not hold the present policy; trying again", "error", a.behind, "in", pause)
			in.retry.Reset(pause)
		}
	}
	for _, c := range a.components {
		c.AfterStep(ctx, component.Result{Err: a.behind, First: first})
	}
}

// onBatch takes in a batch of the store with all its parts, and all that wait behind it.
func (a *agent) onBatch(ctx context.Context, in *inputs, b store.Batch) error {
	first := !a.Complete()
	var reports []report
	for taken := true; taken; b, taken = poll(in.batches) {
		whole, err := a.takeParts(ctx, in, b, &reports)
		if err != nil || !whole {
			return err
		}
	}
	a.attempt(ctx, in, component.Step{}, first)
	a.report(reports, first) // after the kernel: it may take its time
	if first {
		a.warnIfNothingIsLocal()
		gctune.ReturnMemory()
	}
	return nil
}

// takeParts takes in a batch with all its parts. It is not whole if the agent or the
// store ends in its midst.
func (a *agent) takeParts(ctx context.Context, in *inputs, b store.Batch, reports *[]report) (whole bool, err error) {
	first, objects := !a.Complete(), 0
	for {
		objects += len(b.Updated)
		if first && a.fromFiles && !b.More {
			if err := usable(a.cfg.Source.String(), objects, b.Findings); err != nil {
				return false, err
			}
		}
		*reports = append(*reports, a.take(b))
		if !b.More {
			break
		}
		select {
		case b = <-in.batches:
		case <-ctx.Done():
			return false, nil
		case err := <-in.ended:
			in.ended <- err
			return false, nil
		}
	}
	if first {
		for _, c := range a.components {
			c.FirstState()
		}
		a.progress.setComplete()
		a.log.Info("enforcing", "node", a.cfg.Node, "store", a.cfg.Source.String(), "objects", objects)
	}
	return true, nil
}

func poll(batches <-chan store.Batch) (store.Batch, bool) {
	select {
	case b := <-batches:
		return b, true
	default:
		return store.Batch{}, false
	}
}

// onCheck compares the kernel with what it should hold.
func (a *agent) onCheck(ctx context.Context, in *inputs) {
	if a.Complete() && a.behind == nil {
		a.working()
		a.attempt(ctx, in, component.Step{Resync: true}, false)
	}
}

// warnIfNothingIsLocal tells a wrong node name from a node without endpoints, as
// far as that can be told.
func (a *agent) warnIfNothingIsLocal() {
	a.model.Read(func(v model.View) {
		if len(v.Locals()) > 0 || v.HasHosts() {
			return
		}
		if a.fromKube {
			if v.Status(policy.Key{Kind: policy.KindNode, Name: a.cfg.Node}).State == 0 {
				a.log.Warn("the cluster has no such node, so nothing is enforced; is the name right (--node)?", "node", a.cfg.Node)
			}
			return
		}
		nodes := map[string]bool{}
		v.Each(func(c policy.Change) {
			if ep, ok := c.Object.(*policy.Endpoint); ok {
				nodes[ep.Node] = true
			}
		})
		a.log.Warn("no endpoint of the store is on this node, so nothing is enforced; is the name right (--node)?",
			"node", a.cfg.Node, "nodes", listNodes(nodes))
	})
}

// listNodes lists the nodes that endpoints are on.
func listNodes(names map[string]bool) string {
	delete(names, "")
	if len(names) == 0 {
		return "none"
	}
	nodes := slices.Sorted(maps.Keys(names))
	return strings.Join(nodes[:min(len(nodes), maxLogged)], ", ")
}
