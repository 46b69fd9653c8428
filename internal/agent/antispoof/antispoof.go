// Package antispoof finds the interfaces of local endpoints, and has the kernel check
// that what comes from there has the endpoint's source.
package antispoof

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/coalesce"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
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
	// Links finds interfaces; nil: sources are not checked.
	Links Links
	// InterfaceOf returns the interface that the CNI plugin named for a pod; "" for none.
	InterfaceOf func(policy.Key) string
	// DenyUnknown denies traffic of addresses in the node's own pod networks that no
	// endpoint is known at.
	DenyUnknown bool
}

// Component keeps the kernel's checks of sources up to date.
type Component struct {
	component.Base
	cfg Config
	env component.Env

	mu    sync.Mutex
	state state

	// Of the loop alone.
	podNets []netip.Prefix         // the networks that the cluster has given to this node's pods
	applied dataplane.AntiSpoofing // by the kernel
	failure lasterror.Error        // why nothing could be found out
	retry   *time.Timer            // nil before Start
}

// state is what is known of interfaces, as others are told.
type state struct {
	found   map[policy.Key]hostlink.Link
	unknown map[policy.Key]string // why
	bypass  []string
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

// Taken follows the pod networks of this node.
func (c *Component) Taken(b *store.Batch) {
	for _, k := range b.Deleted {
		if k.Kind == policy.KindNode && k.Name == c.env.Node {
			c.podNets = nil
		}
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
func (c *Component) BeforeStep(ctx context.Context, s component.Step) error {
	if s.Full {
		c.applied = dataplane.AntiSpoofing{}
	}
	if !s.LocalChange || !c.env.Kernel.HasAntiSpoofing() {
		return nil
	}
	next := dataplane.AntiSpoofing{}
	if c.cfg.DenyUnknown {
		next.PodNets = c.podNets
	}
	if c.cfg.Links != nil {
		next.Links = c.find()
	}
	if equal(next, c.applied) {
		return nil
	}
	if err := c.env.Kernel.SetAntiSpoofing(ctx, next); err != nil {
		return fmt.Errorf("interfaces of pods: %w", err)
	}
	c.applied = next
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
	c.state = state{found: map[policy.Key]hostlink.Link{}, unknown: map[policy.Key]string{}}
	var links []dataplane.Link
	for _, l := range found.Links {
		c.state.found[l.Key] = l
		links = append(links, dataplane.Link{Index: l.Index, Port: l.Bridge != "", Addrs: l.Addrs})
	}
	for _, u := range found.Unknown {
		c.state.unknown[u.Key] = u.Reason
		if before.unknown[u.Key] != u.Reason {
			c.env.Log.Debug("the interface of a pod was not found: the sources of its packets are not checked",
				"pod", u.Key.Namespace+"/"+u.Key.Name, "reason", u.Reason)
		}
	}
	for _, b := range found.Bypass {
		c.state.bypass = append(c.state.bypass, b.String())
		if !slices.Contains(before.bypass, b.String()) {
			c.env.Log.Error("policy is not enforced", "reason", b.String())
		}
	}
	return links
}

func (c *Component) endpoints() []hostlink.Endpoint {
	var endpoints []hostlink.Endpoint
	c.env.Model.Read(func(v model.View) {
		for key, ep := range v.Locals() {
			endpoints = append(endpoints, hostlink.Endpoint{Key: key, Addrs: ep.Addrs, Interface: ep.Interface})
		}
	})
	for i := range endpoints {
		if name := c.cfg.InterfaceOf(endpoints[i].Key); name != "" {
			endpoints[i].Interface = name
		}
	}
	return endpoints
}

func equal(x, y dataplane.AntiSpoofing) bool {
	return slices.Equal(x.PodNets, y.PodNets) && slices.EqualFunc(x.Links, y.Links, func(a, b dataplane.Link) bool {
		return a.Index == b.Index && a.Port == b.Port && slices.Equal(a.Addrs, b.Addrs)
	})
}

// AfterStep looks again later if some interface was not found.
func (c *Component) AfterStep(_ context.Context, r component.Result) {
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

// Bypasses returns the ways on this host by which packets between pods bypass policy.
func (c *Component) Bypasses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.state.bypass)
}

// counts returns how many local endpoints have an interface that is known, how many
// have not, and how many ways there are to bypass policy.
func (c *Component) counts() (known, unknown, bypass int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.found), len(c.state.unknown), len(c.state.bypass)
}
