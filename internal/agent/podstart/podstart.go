// Package podstart has pods that the CNI plugin starts wait until their policy is in
// force, and knows which addresses the plugin gave them before the store does.
package podstart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Config says who asks.
type Config struct {
	// CNI answers the CNI plugin; nil: there is none.
	CNI *cni.ServerConfig
	// Installer keeps the plugin installed while CNI answers; nil: somebody else does.
	Installer *cni.Installer
}

// Component follows the pods of this node, and answers the CNI plugin. It is called for
// after all components that make policy hold.
type Component struct {
	component.Base
	cfg     Config
	env     component.Env
	metrics *prometheus.HistogramVec
	nodes   atomic.Int64 // of the cluster, as far as pods have told
	server  atomic.Pointer[cni.Server]
	served  chan struct{} // closed when the server has ended; nil: it did not begin
	// broken says that the CNI plugin gets no answer any more.
	broken atomic.Bool

	// Of the loop alone.
	pods    *pods                    // of this node
	pending map[*pendingPod]struct{} // to be enforced for
}

var _ cni.Enforcer = (*Component)(nil)

// pendingPod is a pod that is held up until it is enforced for.
type pendingPod struct {
	pod  cni.Pod
	done chan struct{} // closed when it is
	why  atomic.Pointer[string]
}

func (p *pendingPod) waitsFor(why string) { p.why.Store(&why) }

// errEnded has the plugin turn to the next agent.
var errEnded = fmt.Errorf("%w: %w", component.ErrEnded, cni.ErrStopping)

// New returns the component.
func New(env component.Env, cfg Config) *Component {
	c := &Component{cfg: cfg, env: env, pods: newPods(env.Node), pending: map[*pendingPod]struct{}{}}
	c.metrics = newMetrics(c)
	return c
}

// Start answers the CNI plugin, and installs it once the first state is in the
// kernel. What is told of pods that have started before is taken in first.
func (c *Component) Start(ctx context.Context) error {
	if c.cfg.CNI == nil {
		return nil
	}
	cfg := *c.cfg.CNI
	cfg.Enforcer, cfg.Log, cfg.Observe = c, c.env.Log, c.observe
	server, err := cni.Listen(cfg)
	if err != nil {
		return err
	}
	for _, r := range server.Records() {
		c.pods.attach(r.Pod)
	}
	c.server.Store(server)
	c.served = make(chan struct{})
	go func() {
		defer close(c.served)
		if err := server.Serve(ctx); err != nil {
			c.env.Log.Error("the CNI plugin is not answered any more: pods cannot start until the agent starts again", "error", err)
			c.broken.Store(true)
		}
	}()
	if c.cfg.Installer != nil {
		go c.install(ctx)
	}
	return nil
}

// install installs the plugin once the first state is in the kernel: a pod that
// starts now would have to wait for it, and so would the agent's own.
func (c *Component) install(ctx context.Context) {
	select {
	case <-c.env.FirstInForce():
	case <-ctx.Done():
		return
	}
	if err := c.cfg.Installer.Run(ctx); err != nil && ctx.Err() == nil {
		c.env.Log.Error("the CNI plugin is not kept installed any more", "error", err)
	}
}

// Close waits until the plugin is not answered any more.
func (c *Component) Close() error {
	if c.served != nil {
		<-c.served
	}
	return nil
}

// Adapt makes a batch say of pods of this node what the plugin knows better.
func (c *Component) Adapt(b *store.Batch) {
	c.pods.adapt(b)
	c.nodes.Store(int64(len(c.pods.nodes)))
}

// Nodes returns how many nodes the cluster has, as far as pods have told.
func (c *Component) Nodes() int { return int(c.nodes.Load()) }

// Link is what the plugin told of a pod's link.
type Link struct {
	Interface string           // the host's end; "" if it is not known
	Index     int              // its number, which outlives its name
	MAC       net.HardwareAddr // the pod's; nil if it is not known
}

// LinkOf returns what the plugin told of a pod's link. It is for the loop.
func (c *Component) LinkOf(key policy.Key) Link { return c.pods.linkOf(key) }

// Ensure has the loop take the pod in, and waits until the kernel has its policy.
func (c *Component) Ensure(ctx context.Context, pod cni.Pod) error {
	p := &pendingPod{pod: pod, done: make(chan struct{})}
	p.waitsFor("the agent to take it in")
	if err := c.env.Call(ctx, func() {
		b := c.pods.attach(pod)
		b.Received = time.Now()
		c.env.Take(b)
		c.env.LocalChanged() // its interface may be news even if its addresses are not
		c.pending[p] = struct{}{}
		if !c.env.Complete() {
			p.waitsFor(c.unenforced(pod)) // no attempt follows
		}
	}); errors.Is(err, component.ErrEnded) {
		return errEnded
	} else if err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	case <-c.env.Ended():
		return errEnded
	}
	// The loop may be busy for long: it is not waited for.
	go func() { _ = c.env.Call(context.WithoutCancel(ctx), func() { delete(c.pending, p) }) }()
	return fmt.Errorf("waited for %s: %w", *p.why.Load(), ctx.Err())
}

// Forget has the loop take back what Ensure had it take in.
func (c *Component) Forget(ctx context.Context, id cni.PodID) {
	_ = c.env.Call(context.WithoutCancel(ctx), func() {
		if b, changed := c.pods.detach(id); changed {
			c.env.Take(b)
			c.env.LocalChanged()
		}
	})
}

// AfterStep lets those go whose pods are enforced for.
func (c *Component) AfterStep(ctx context.Context, r component.Result) {
	for p := range c.pending {
		why := c.unenforced(p.pod)
		if why == "" {
			close(p.done)
			delete(c.pending, p)
			continue
		}
		p.waitsFor(why)
	}
	if r.First {
		c.pruneRecords(ctx)
	}
}

// unenforced says what a pod waits for; empty if the kernel has its policy.
func (c *Component) unenforced(pod cni.Pod) (why string) {
	if !c.env.Complete() {
		return "the first state of the store"
	}
	if why := c.pods.missing(pod); why != "" {
		return why
	}
	key := podKey(pod.PodID)
	c.env.Model.Read(func(v model.View) {
		ep, status := v.Locals()[key], v.Status(key)
		switch {
		case status.State == translate.NotInForce || status.State == translate.LastValid:
			why = "the pod to be valid: " + status.Findings[0].Error()
		case ep == nil || !holds(ep, pod.Addrs):
			why = "its addresses to be those of an endpoint"
		}
	})
	if why != "" {
		return why
	}
	return c.env.NotReady()
}

// recordGrace is how long a pod may be on record without the API telling of it.
const recordGrace = 5 * time.Minute

// pruneRecords forgets pods that ended while no agent was there to be told.
func (c *Component) pruneRecords(ctx context.Context) {
	server := c.server.Load()
	if server == nil {
		return
	}
	known := map[string]bool{}
	for _, r := range server.Records() {
		known[r.Container] = c.pods.missing(r.Pod) == ""
	}
	go func() { // it has the loop forget
		if n := server.Prune(ctx, func(r cni.Record) bool {
			there, seen := known[r.Container]
			return seen && !there && time.Since(r.Since) > recordGrace
		}); n > 0 {
			c.env.Log.Info("forgot pods that have ended", "pods", n)
		}
	}()
}

// WaitsFor says what each request for a pod waits for. It is for the loop.
func (c *Component) WaitsFor(id cni.PodID) []string {
	var reasons []string
	for p := range c.pending {
		if p.pod.PodID == id {
			reasons = append(reasons, *p.why.Load())
		}
	}
	return reasons
}
