package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

// Links finds the interfaces of local endpoints: a *hostlink.Finder, with Watch.
type Links interface {
	Find([]hostlink.Endpoint) (hostlink.Result, error)
	// Watch calls changed whenever Find may find something else, until the context ends.
	Watch(ctx context.Context, changed func(neighboursOnly bool)) error
}

// linkState is what is known of interfaces, as others are told.
type linkState struct {
	found    map[policy.Key]hostlink.Link
	unknown  map[policy.Key]string // why
	bypass   []string
	failure  string // why nothing could be found out
	guarding bool
}

const (
	// linkCalm is the least time between two looks because something changed: a pod
	// that starts makes dozens of changes within a few milliseconds.
	linkCalm = 50 * time.Millisecond
	// relookInterval is the time between two looks while something was not found:
	// what a bridge has forgotten comes back without a notification.
	relookInterval = 5 * time.Second
)

// watchLinks returns a signal when interfaces are to be looked for again; nil if
// nobody looks for them.
func (a *agent) watchLinks(ctx context.Context) <-chan struct{} {
	if a.cfg.Links == nil {
		return nil
	}
	return signals(ctx, linkCalm, func(ctx context.Context, changed func()) error {
		return a.cfg.Links.Watch(ctx, func(neighboursOnly bool) {
			if !neighboursOnly || a.unknownLinks() {
				changed()
			}
		})
	}, func(err error) {
		a.log.Error("new interfaces of pods are only found when pods change", "error", err)
	})
}

func (a *agent) onLinks(ctx context.Context, in *inputs) {
	if !a.complete() || a.behind() {
		return
	}
	a.working()
	a.relink = true
	if a.placeHosts() {
		a.settle(ctx, in, a.step(ctx))
		return
	}
	if err := a.setGuard(ctx); err != nil {
		a.settle(ctx, in, a.stepFailed(err))
		return
	}
	a.settle(ctx, in, nil)
}

// unknownLinks reports whether the interface of some local endpoint is not known.
func (a *agent) unknownLinks() bool {
	a.progressMu.RLock()
	defer a.progressMu.RUnlock()
	return len(a.links.unknown) > 0
}

// setGuard tells the kernel where local endpoints are, if that has changed. The
// kernel is asked before the endpoints' own tables change: what it holds of
// interfaces may be less than what it holds of endpoints, never something else.
func (a *agent) setGuard(ctx context.Context) error {
	guarded, ok := a.dataplane.(dataplane.Guarded)
	if !ok || !a.relink {
		return nil
	}
	a.relink = false
	guard := dataplane.Guard{}
	if a.cfg.DenyUnknown {
		guard.PodNets = a.view.podNets // written by the loop only, which this is
	}
	if a.cfg.Links != nil {
		guard.Links = a.findLinks()
	}
	if equalGuards(guard, a.guard) {
		return nil
	}
	a.kernel.Lock()
	err := guarded.SetGuard(ctx, guard)
	a.kernel.Unlock()
	if err != nil {
		a.relink = true
		return fmt.Errorf("interfaces of pods: %w", err)
	}
	a.guard = guard
	return nil
}

// findLinks looks for the interfaces of all local endpoints. If it fails, those
// that were found before are left.
func (a *agent) findLinks() []dataplane.Link {
	a.mu.RLock()
	endpoints := make([]hostlink.Endpoint, 0, len(a.view.locals))
	for key, ep := range a.view.locals {
		e := hostlink.Endpoint{Key: key, Addrs: ep.Addrs, Interface: ep.Interface}
		if name := a.pods.interfaceOf(key); name != "" {
			e.Interface = name
		}
		endpoints = append(endpoints, e)
	}
	a.mu.RUnlock()
	found, err := a.cfg.Links.Find(endpoints)
	a.progressMu.Lock()
	defer a.progressMu.Unlock()
	if err != nil {
		if a.links.failure == "" {
			a.log.Error("interfaces of pods cannot be found; the sources of new pods are not checked", "error", err)
		}
		a.links.failure = err.Error()
		return a.guard.Links
	}
	before := a.links
	a.links = linkState{found: map[policy.Key]hostlink.Link{}, unknown: map[policy.Key]string{}, guarding: true}
	var links []dataplane.Link
	for _, l := range found.Links {
		a.links.found[l.Key] = l
		links = append(links, dataplane.Link{Index: l.Index, Port: l.Bridge != "", Addrs: l.Addrs})
	}
	for _, u := range found.Unknown {
		a.links.unknown[u.Key] = u.Reason
		if before.unknown[u.Key] != u.Reason {
			a.log.Debug("the interface of a pod was not found: the sources of its packets are not checked",
				"pod", u.Key.Namespace+"/"+u.Key.Name, "reason", u.Reason)
		}
	}
	for _, b := range found.Bypass {
		a.links.bypass = append(a.links.bypass, b.String())
		if !slices.Contains(before.bypass, b.String()) {
			a.log.Error("policy is not enforced", "reason", b.String())
		}
	}
	return links
}

func equalGuards(x, y dataplane.Guard) bool {
	return slices.Equal(x.PodNets, y.PodNets) && slices.EqualFunc(x.Links, y.Links, func(a, b dataplane.Link) bool {
		return a.Index == b.Index && a.Port == b.Port && slices.Equal(a.Addrs, b.Addrs)
	})
}
