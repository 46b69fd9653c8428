// Package antispoof finds the interfaces of local endpoints, and has the kernel check
// that what comes from there has the endpoint's source.
package antispoof

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/coalesce"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/agent/podstart"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Links finds the interfaces of local endpoints: a *hostlink.Finder, with Watch.
type Links interface {
	Find([]hostlink.Endpoint) (hostlink.Result, error)
	// Watch calls changed whenever Find may find something else, until the context ends.
	Watch(ctx context.Context, changed func(neighboursOnly bool)) error
}

const (
	// minInterval is the least time between two looks because something changed: a pod
	// that starts makes dozens of changes within a few milliseconds.
	minInterval = 50 * time.Millisecond
	// retryInterval is the time between two looks while something was not found:
	// what a bridge has forgotten comes back without a notification.
	retryInterval = 5 * time.Second
)

// Config says what is checked.
type Config struct {
	// Links finds interfaces; nil: nobody does, and sources are not checked.
	Links Links
	// Check says whether sources are checked.
	Check bool
	// LinkOf returns what the CNI plugin told of a pod's link.
	LinkOf func(policy.Key) podstart.Link
	// Guards are in force in the kernel.
	Guards dataplane.GuardSettings
	// KeepReservedGroups has a bridge learn nothing from frames to groups that bridges keep to
	// themselves; nil: bridges are left as they are.
	KeepReservedGroups func(bridge int) error
	// AllowSources honours the annotation by which pods have sources beside their own.
	AllowSources bool
	// DenyUnknown denies traffic of addresses in the node's own pod networks that no
	// endpoint is known at.
	DenyUnknown bool
}

// Component keeps the kernel's checks of sources up to date.
type Component struct {
	component.Base
	cfg Config
	env component.Env

	mu        sync.Mutex
	state     state
	spoofings []Spoofing

	// Of the loop alone.
	nodes   nodeAddrs
	podNets []netip.Prefix         // the networks that the cluster has given to this node's pods
	applied dataplane.AntiSpoofing // by the kernel
	failure lasterror.Error        // why nothing could be found out
	sources podSources
	retry   *time.Timer  // nil before Start
	kept    map[int]bool // bridges that learn nothing from reserved groups
	// What was last seen of drops: why they could not be read, how many there were, and that they grew much.
	spoofFailure lasterror.Error
	spoofedTotal uint64
	spoofedGrew  bool
	resync       bool // the present attempt is one
}

// state is what is known of interfaces, as others are told.
type state struct {
	result  hostlink.Result
	found   map[policy.Key]hostlink.Link
	unknown map[policy.Key]string // why
}

// New returns the component.
func New(env component.Env, cfg Config) *Component {
	c := &Component{cfg: cfg, env: env}
	env.Metrics.MustRegister(collector{c})
	return c
}

// Start has the loop look again whenever interfaces have changed.
func (c *Component) Start(ctx context.Context) error {
	look := func() { _ = c.env.Call(ctx, c.env.LocalChanged) }
	c.retry = time.AfterFunc(retryInterval, look)
	c.retry.Stop()
	if c.cfg.Links == nil {
		return nil
	}
	changed := coalesce.Watch(ctx, minInterval, func(ctx context.Context, notify func()) error {
		return c.cfg.Links.Watch(ctx, func(neighboursOnly bool) {
			if !neighboursOnly || c.anyUnknown() {
				notify()
			}
		})
	}, func(err error) {
		c.env.Log.Error("new interfaces of pods are only found when pods change", "error", err)
	})
	go func() {
		for {
			select {
			case <-changed:
				look()
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// Taken follows the pod networks of this node, and the addresses of all nodes.
func (c *Component) Taken(b *store.Batch) {
	for _, k := range b.Deleted {
		if k.Kind == policy.KindNode && k.Name == c.env.Node {
			c.podNets = nil
		}
	}
	news := c.nodes.add(b)
	if c.cfg.AllowSources && c.sources.take(b, c.env) || news {
		c.env.LocalChanged()
	}
	for i := range b.Updated {
		if n, ok := b.Updated[i].Object.(*corev1.Node); ok && n.Name == c.env.Node {
			c.podNets = c.podNetsOf(n)
			c.env.LocalChanged()
		}
	}
}

// podNetsOf reads the pod networks of a node.
func (c *Component) podNetsOf(n *corev1.Node) []netip.Prefix {
	var nets []netip.Prefix
	for _, text := range append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...) {
		p, err := netip.ParsePrefix(text)
		switch {
		case err == nil && p.Bits() > 0 && !slices.Contains(nets, p):
			nets = append(nets, p)
		case err != nil && text != "" && c.cfg.DenyUnknown:
			c.env.Log.Warn("a pod network of this node cannot be read", "podCIDR", text, "error", err)
		}
	}
	return nets
}

// BeforeStep tells the kernel where local endpoints are, if that has changed. The
// kernel is asked before the endpoints' own tables change: what it holds of
// interfaces may be less than what it holds of endpoints, never something else.
// Of settings of bridges nobody notifies.
func (c *Component) BeforeStep(ctx context.Context, s component.Step) error {
	if s.Full {
		c.applied = dataplane.AntiSpoofing{}
	}
	c.resync = s.Resync
	if !s.LocalChange && !s.Resync {
		return nil
	}
	next := dataplane.AntiSpoofing{}
	if c.cfg.Links != nil {
		links := c.find()
		found := c.Result()
		next = c.known(links, &found)
	}
	if c.cfg.DenyUnknown {
		next.PodNets = c.podNets
	}
	if !c.env.Kernel.HasAntiSpoofing() || next.Equal(c.applied) {
		return nil
	}
	if err := c.env.Kernel.SetAntiSpoofing(ctx, next); err != nil {
		return fmt.Errorf("interfaces of pods: %w", err)
	}
	c.applied = next
	c.keepReservedGroups(next.Links)
	return nil
}

// find looks for the interfaces of all local endpoints. If it fails, those that were found
// before are left.
func (c *Component) find() []dataplane.Link {
	found, err := c.cfg.Links.Find(c.endpoints())
	c.mu.Lock()
	defer c.mu.Unlock()
	if began, _, _ := c.failure.Set(err); began {
		c.env.Log.Error("interfaces of pods cannot be found; the sources of new pods are not checked", "error", err)
	}
	if err != nil {
		return c.applied.Links
	}
	before := c.state
	c.state = state{found, map[policy.Key]hostlink.Link{}, map[policy.Key]string{}}
	for _, l := range found.Links {
		c.state.found[l.Key] = l
	}
	links := c.sources.linksOf(&found)
	for _, u := range found.Unknown {
		c.state.unknown[u.Key] = u.Reason
		if before.unknown[u.Key] != u.Reason {
			c.logUnknown(u)
		}
	}
	return links
}

// logUnknown says why sources of a pod are not checked. What may come by itself is not worth a line; an interface that
// is refused is.
func (c *Component) logUnknown(u hostlink.Unknown) {
	level := slog.LevelDebug
	if u.Cause == hostlink.Unfit {
		level = slog.LevelWarn
	}
	c.env.Log.Log(context.Background(), level, "the interface of a pod was not found: the sources of its packets are not checked",
		"pod", u.Key.Namespace+"/"+u.Key.Name, "reason", u.Reason)
}

func (c *Component) endpoints() []hostlink.Endpoint {
	var endpoints []hostlink.Endpoint
	c.env.Model.Read(func(v model.View) {
		for key, ep := range v.Locals() {
			endpoints = append(endpoints, hostlink.Endpoint{Key: key, Addrs: ep.Addrs, Interface: ep.Interface})
		}
	})
	for i := range endpoints {
		if l := c.cfg.LinkOf(endpoints[i].Key); l.Interface != "" {
			endpoints[i].Interface, endpoints[i].Index, endpoints[i].MAC = l.Interface, l.Index, l.MAC
		}
	}
	return endpoints
}

// AfterStep looks again later if some interface was not found.
func (c *Component) AfterStep(ctx context.Context, r component.Result) {
	if r.Err == nil && c.resync && c.cfg.Check && c.env.Kernel.HasAntiSpoofing() {
		c.lookAtSpoofed(ctx)
	}
	c.resync = false
	if r.Err == nil && c.anyUnknown() {
		c.retry.Reset(retryInterval)
	}
}

// Close ends the wait for another look.
func (c *Component) Close() error {
	if c.retry != nil {
		c.retry.Stop()
	}
	return nil
}

// anyUnknown reports whether the interface of some local endpoint is not known.
func (c *Component) anyUnknown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.unknown) > 0
}

// Link returns the interface of a local endpoint, or why it is not known.
func (c *Component) Link(key policy.Key) (link hostlink.Link, unknown string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.found[key], c.state.unknown[key]
}

// Result returns what was last found.
func (c *Component) Result() hostlink.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.result
}

// counts returns how many local endpoints have an interface that is known, and how many have not.
func (c *Component) counts() (known, unknown int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.found), len(c.state.unknown)
}
