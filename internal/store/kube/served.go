package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/store"
)

// Groups of other policy APIs that a cluster may serve.
const (
	calicoStorage = "crd.projectcalico.org"
	clusterPolicy = "policy.networking.k8s.io"
)

// offer is what a server has of what is read besides Kubernetes' own kinds.
type offer struct {
	resources []string // of projectcalico.org/v3 that can be listed and watched
	groups    []string // all API groups
}

// offered asks a server for its offer.
func (c *client) offered(ctx context.Context) (offer, error) {
	var o offer
	var groups metav1.APIGroupList
	if err := c.readJSON(ctx, []string{"apis"}, &groups); err != nil {
		return offer{}, err
	}
	for _, g := range groups.Groups {
		o.groups = append(o.groups, g.Name)
	}
	var list metav1.APIResourceList
	err := c.readJSON(ctx, []string{"apis", v3.GroupName, v3.SchemeGroupVersion.Version}, &list)
	if apierrors.IsNotFound(err) {
		return o, nil
	}
	if err != nil {
		return offer{}, err
	}
	for _, r := range list.APIResources {
		if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
			o.resources = append(o.resources, r.Name)
		}
	}
	return o, nil
}

func (c *client) readJSON(ctx context.Context, path []string, into any) error {
	data, err := c.read(ctx, c.get(path, kubeclient.JSON))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &garbled{fmt.Errorf("/%s: %w", strings.Join(path, "/"), err)}
	}
	return nil
}

// has reports whether a kind can be read.
func (o *offer) has(k *kind) bool { return !k.optional || slices.Contains(o.resources, k.resource) }

// notes says what is not read.
func (o *offer) notes(kinds []*kind) []store.Finding {
	var missing []string
	some := false
	for _, k := range kinds {
		if !o.has(k) {
			missing = append(missing, k.resource)
		}
		some = some || k.optional && o.has(k)
	}
	var out []store.Finding
	note := func(format string, args ...any) {
		out = append(out, store.Finding{Note: true, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case !some && slices.Contains(o.groups, calicoStorage):
		note("%s is not served here, so there are none of its tiers and policies; those of %s, where Calico stores its own, are not read: install Calico's API server", v3.GroupVersion, calicoStorage)
	case !some:
		note("%s is not served here, so there are none of its tiers and policies; once its custom resources are installed, they are read", v3.GroupVersion)
	case len(missing) > 0:
		note("%s is served here without %s: there are none of them", v3.GroupVersion, strings.Join(missing, ", "))
	}
	if slices.Contains(o.groups, clusterPolicy) {
		note("policies of %s are not supported yet: there may be some, and they are not in force", clusterPolicy)
	}
	return out
}

// discoverer keeps following what a server offers.
type discoverer struct {
	*gather
	client *client
	log    *slog.Logger
	follow func(ctx context.Context, st *state)
	look   chan struct{} // a kind has vanished

	running map[*state]*run
	missing map[*state]time.Time // since when a kind that is followed is not served
}

// run is a kind that is being followed.
type run struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// lookAgain asks for a look at what is served.
func (d *discoverer) lookAgain() {
	select {
	case d.look <- struct{}{}:
	default:
	}
}

// run looks at what is served until the context ends, often at first and after
// changes, and not at all while everything is.
func (d *discoverer) run(ctx context.Context) {
	defer d.stopAll()
	p := pause{min: d.timing.pollMin, max: d.timing.pollMax}
	for {
		o, err := d.client.offered(ctx)
		if ctx.Err() != nil {
			return
		}
		complete := false
		if err != nil {
			d.undiscovered(err)
			d.log.Debug("cannot ask what is served", "error", err)
		} else {
			changed := false
			changed, complete = d.take(ctx, o)
			if changed {
				p.reset()
			}
		}
		var again <-chan time.Time
		if !complete {
			again = time.After(max(p.step(), min(retryAfter(err), time.Minute)))
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-d.look:
			// The kind may be back at the next try; and one look is enough for many.
			select {
			case <-ctx.Done():
				return
			case <-time.After(d.timing.pollMin):
			}
		}
	}
}

// take begins to follow what is new, and ends with what is gone. It reports
// whether that changed anything, and whether everything is served.
func (d *discoverer) take(ctx context.Context, o offer) (changed, complete bool) {
	complete = true
	var kinds []*kind
	for _, st := range d.states {
		kinds = append(kinds, st.kind)
		if !st.kind.optional {
			continue
		}
		r := d.running[st]
		switch {
		case o.has(st.kind):
			delete(d.missing, st)
			if r == nil {
				changed = true
				d.start(ctx, st)
			}
			continue
		case r == nil:
			d.absent(st)
		case d.missing[st].IsZero():
			changed = true
			d.missing[st] = time.Now()
		case time.Since(d.missing[st]) >= d.timing.vanish:
			r.cancel()
			r.done.Wait()
			delete(d.running, st)
			delete(d.missing, st)
			d.drop(st)
			d.log.Info("no longer served", "kind", st.kind.plural())
		}
		complete = false
	}
	d.found(o.notes(kinds))
	return changed, complete
}

func (d *discoverer) start(ctx context.Context, st *state) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{cancel: cancel}
	d.running[st] = r
	d.serve(st)
	r.done.Go(func() { d.follow(ctx, st) })
}

func (d *discoverer) stopAll() {
	for _, r := range d.running {
		r.cancel()
		r.done.Wait()
	}
}

// serve notes that a kind is served from now on.
func (g *gather) serve(st *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.served, st.synced = true, false
}

// absent notes that a kind is not served, and was not.
func (g *gather) absent(st *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.synced = true
}

// found notes that the server has said what it serves.
func (g *gather) found(notes []store.Finding) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.discovered, g.discovery, g.notes, g.dirty = true, nil, notes, true
	g.signal()
}

// undiscovered notes why the server does not say what it serves.
func (g *gather) undiscovered(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.discovery = g.discovery.now(err)
	g.dirty = true
	g.signal()
}
