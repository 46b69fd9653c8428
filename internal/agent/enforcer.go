package agent

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

var _ cni.Enforcer = (*agent)(nil)

// waiter is a pod that is held up until it is enforced for.
type waiter struct {
	pod  cni.Pod
	done chan struct{} // closed when it is
	why  atomic.Pointer[string]
}

// errEnded has the plugin turn to the next agent.
var errEnded = fmt.Errorf("the agent has ended: %w", cni.ErrStopping)

// Ensure has the loop take the pod in, and waits until the kernel has its policy.
func (a *agent) Ensure(ctx context.Context, pod cni.Pod) error {
	w := &waiter{pod: pod, done: make(chan struct{})}
	w.say("the agent to take it in")
	if err := a.ask(ctx, func() {
		b := a.pods.attach(pod)
		b.Received = time.Now()
		a.takeOwn(b)
		a.relink = true // its interface may be news even if its addresses are not
		a.waiters[w] = struct{}{}
	}); err != nil {
		return err
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	case <-a.ended:
		return errEnded
	}
	// The loop may be busy for long: it is not waited for.
	go func() { _ = a.ask(context.WithoutCancel(ctx), func() { delete(a.waiters, w) }) }()
	return fmt.Errorf("waited for %s: %w", *w.why.Load(), ctx.Err())
}

// Forget has the loop take back what Ensure had it take in.
func (a *agent) Forget(ctx context.Context, id cni.PodID) {
	_ = a.ask(context.WithoutCancel(ctx), func() {
		if b, changed := a.pods.detach(id); changed {
			a.takeOwn(b)
			a.relink = true
		}
	})
}

// ask has the loop call a function; it returns when the loop is about to.
func (a *agent) ask(ctx context.Context, f func()) error {
	select {
	case a.asks <- f:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited for the agent, which is busy: %w", ctx.Err())
	case <-a.ended:
		return errEnded
	}
}

// takeAsks takes in all that is asked at this moment, so that one step of the
// kernel serves all of it.
func (a *agent) takeAsks() {
	for {
		select {
		case ask := <-a.asks:
			ask()
		default:
			return
		}
	}
}

// takeOwn takes in a batch that is not the store's.
func (a *agent) takeOwn(b store.Batch) {
	if len(b.Updated)+len(b.Deleted) == 0 {
		return
	}
	b.Findings = a.findings
	a.take(b)
}

func (w *waiter) say(why string) { w.why.Store(&why) }

// wake lets those go whose pods are enforced for, after a step.
func (a *agent) wake() {
	for w := range a.waiters {
		why := a.unenforced(w.pod)
		if why == "" {
			close(w.done)
			delete(a.waiters, w)
			continue
		}
		w.say(why)
	}
}

// unenforced says what a pod waits for; empty if the kernel has its policy.
func (a *agent) unenforced(pod cni.Pod) string {
	if !a.complete() {
		return "the first state of the store"
	}
	if why := a.pods.missing(pod); why != "" {
		return why
	}
	key := podKey(pod.PodID)
	a.mu.RLock()
	ep, status := a.view.locals[key], a.translator.Status(key)
	a.mu.RUnlock()
	switch {
	case status.State == translate.NotInForce || status.State == translate.LastValid:
		return "the pod to be valid: " + status.Findings[0].Error()
	case ep == nil || !holds(ep, pod.Addrs):
		return "its addresses to be those of an endpoint"
	}
	if why := a.notReady(); why != "" {
		return why
	}
	return ""
}

// startCNI answers the CNI plugin, and installs it once the first state is in the
// kernel. What is told of pods that have started before is taken in first.
func (a *agent) startCNI(ctx context.Context) (stop func(), err error) {
	if a.cfg.CNI == nil {
		return func() {}, nil
	}
	cfg := *a.cfg.CNI
	cfg.Enforcer, cfg.Log, cfg.Observe = a, a.log, a.metrics.observeCNI
	server, err := cni.Listen(cfg)
	if err != nil {
		return func() {}, err
	}
	for _, r := range server.Records() {
		a.pods.attach(r.Pod)
	}
	a.server.Store(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(ctx); err != nil {
			a.log.Error("the CNI plugin is not answered any more: pods cannot start until the agent starts again", "error", err)
			a.cniBroken.Store(true)
		}
	}()
	if a.cfg.Installer != nil {
		go a.install(ctx)
	}
	return func() { <-done }, nil
}

// install installs the plugin once the first state is in the kernel: a pod that
// starts now would have to wait for it, and so would the agent's own.
func (a *agent) install(ctx context.Context) {
	select {
	case <-a.firstInForce:
	case <-ctx.Done():
		return
	}
	if err := a.cfg.Installer.Run(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("the CNI plugin is not kept installed any more", "error", err)
	}
}

// recordGrace is how long a pod may be on record without the API telling of it.
const recordGrace = 5 * time.Minute

// pruneRecords forgets pods that ended while no agent was there to be told.
func (a *agent) pruneRecords(ctx context.Context) {
	server := a.server.Load()
	if server == nil {
		return
	}
	known := map[string]bool{}
	for _, r := range server.Records() {
		known[r.Container] = a.pods.missing(r.Pod) == ""
	}
	go func() { // it asks the loop to forget
		if n := server.Prune(ctx, func(r cni.Record) bool {
			there, seen := known[r.Container]
			return seen && !there && time.Since(r.Since) > recordGrace
		}); n > 0 {
			a.log.Info("forgot pods that have ended", "pods", n)
		}
	}()
}

// waitingPods returns the number of pods that are held up, for the status.
func (a *agent) waitingPods() int {
	if s := a.server.Load(); s != nil {
		return s.Waiting()
	}
	return 0
}
