package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// inputs is what the loop listens to.
type inputs struct {
	batches <-chan store.Batch
	ended   chan error // the end of the watch of the store, once
	retry   *time.Timer
	pause   time.Duration // before the next retry
	relook  *time.Timer   // for interfaces that were not found
	cut     *time.Timer   // for connections that are denied
}

// loop takes steps in until the context or the store ends.
func (a *agent) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	in := &inputs{retry: stopped(), relook: stopped(), cut: stopped(), pause: a.cfg.retryPause}
	in.batches, in.ended = follow(ctx, a.cfg.Source)
	stopServing, err := a.startCNI(ctx)
	defer func() {
		cancel()
		close(a.ended)
		stopServing()
		if err := <-in.ended; err != nil { // the watch holds nothing any more
			a.log.Debug("the watch of the store ended", "error", err)
		}
	}()
	if err != nil {
		return err
	}
	if a.reporter != nil {
		go a.reporter.run(ctx)
	}
	a.startNames(ctx)
	a.serveAuthz(ctx)
	if a.cfg.PacketLog != nil {
		go a.logPackets(ctx)
	}
	check := time.NewTicker(a.cfg.CheckInterval)
	defer check.Stop()
	meddled, links := a.notifications(ctx), a.watchLinks(ctx)
	for {
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
			if err := a.onBatch(ctx, in, b); err != nil {
				return err
			}
		case ask := <-a.asks:
			a.working()
			ask()
			a.takeAsks()
			if a.complete() && !a.retrying {
				a.settle(ctx, in, a.step(ctx))
			}
			a.wake()
		case <-in.retry.C:
			a.working()
			a.retrying = false
			a.settle(ctx, in, a.rebuild(ctx))
			a.wake()
		case <-links:
			a.onLinks(ctx, in)
		case <-in.relook.C:
			a.onLinks(ctx, in)
		case <-in.cut.C:
			a.working()
			a.cut(ctx, in, true)
		case <-check.C:
			a.onCheck(ctx, in)
		case <-meddled:
			a.onCheck(ctx, in)
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (a *agent) working() { a.busy.Store(time.Now().UnixNano()) }

// settle is after each step: all is well, or it is tried again later.
func (a *agent) settle(ctx context.Context, in *inputs, err error) {
	if err == nil {
		in.pause = a.cfg.retryPause
		if a.unknownLinks() {
			in.relook.Reset(relookInterval)
		}
		a.cut(ctx, in, a.cutNow)
		a.warnOfHosts(ctx)
		a.reporter.changed()
		return
	}
	a.log.Error("the kernel does not hold the present policy; trying again", "error", err, "in", in.pause)
	a.retrying = true
	in.retry.Reset(in.pause)
	in.pause = min(2*in.pause, maxRetry)
	a.reporter.changed()
}

// onBatch takes a step of the store in, and all steps that wait behind it.
func (a *agent) onBatch(ctx context.Context, in *inputs, b store.Batch) error {
	a.working()
	first := !a.complete()
	var reports []report
	for taken := true; taken; b, taken = poll(in.batches) {
		whole, err := a.takeStep(ctx, in, b, &reports)
		if err != nil || !whole {
			return err
		}
	}
	if !a.retrying {
		a.settle(ctx, in, a.step(ctx))
	}
	a.wake()
	a.report(reports, first) // after the kernel: it may take its time
	if first {
		a.readyAuthz()
		a.warnIfNothingIsLocal()
		a.pruneRecords(ctx)
		returnMemory()
	}
	return nil
}

// takeStep takes a step in with all its parts. It is not whole if the agent or the
// store ends in its midst.
func (a *agent) takeStep(ctx context.Context, in *inputs, b store.Batch, reports *[]report) (whole bool, err error) {
	first, objects := !a.complete(), 0
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
		a.completeFirst(b)
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
	if a.complete() && !a.behind() {
		a.working()
		a.retap = true // the host's DNS servers are in a file that nobody watches
		a.setTap(ctx)
		a.settle(ctx, in, a.check(ctx))
	}
}

// complete reports whether the first state was taken in.
func (a *agent) complete() bool {
	a.progressMu.RLock()
	defer a.progressMu.RUnlock()
	return a.inForce.complete
}

// warnIfNothingIsLocal tells a wrong node name from a node without endpoints, as
// far as that can be told.
func (a *agent) warnIfNothingIsLocal() {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.view.locals)+len(a.view.hosts) > 0 {
		return
	}
	if a.fromKube {
		if a.translator.Status(policy.Key{Kind: policy.KindNode, Name: a.cfg.Node}).State == 0 {
			a.log.Warn("the cluster has no such node, so nothing is enforced; is the name right (--node)?", "node", a.cfg.Node)
		}
		return
	}
	nodes := map[string]bool{}
	a.translator.Each(func(c policy.Change) {
		if ep, ok := c.Object.(*policy.Endpoint); ok {
			nodes[ep.Node] = true
		}
	})
	a.log.Warn("no endpoint of the store is on this node, so nothing is enforced; is the name right (--node)?",
		"node", a.cfg.Node, "nodes", listNodes(nodes))
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
