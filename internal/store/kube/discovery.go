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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
)

// calicoStorage is where Calico stores its own policies.
const calicoStorage = "crd.projectcalico.org"

// optionalVersions returns the versions of API groups that hold optional kinds.
func optionalVersions() []schema.GroupVersion {
	var out []schema.GroupVersion
	for _, k := range kindsOf(&Options{}) {
		gv := k.gvk().GroupVersion()
		if k.optional && !slices.Contains(out, gv) {
			out = append(out, gv)
		}
	}
	return out
}

// discovery is what a server has of what is read besides Kubernetes' own kinds.
type discovery struct {
	resources []string            // that can be listed and watched: GROUP/VERSION/NAME
	groups    map[string][]string // versions of all API groups
}

// discover asks a server what it serves.
func (c *client) discover(ctx context.Context) (discovery, error) {
	o := discovery{groups: map[string][]string{}}
	var groups metav1.APIGroupList
	if err := c.readJSON(ctx, []string{"apis"}, &groups); err != nil {
		return discovery{}, err
	}
	for _, g := range groups.Groups {
		o.groups[g.Name] = []string{}
		for _, v := range g.Versions {
			o.groups[g.Name] = append(o.groups[g.Name], v.Version)
		}
	}
	for _, gv := range optionalVersions() {
		// That of projectcalico.org may be served by a server of its own, which is away.
		if gv.Group != v3.GroupName && !slices.Contains(o.groups[gv.Group], gv.Version) {
			continue
		}
		var list metav1.APIResourceList
		err := c.readJSON(ctx, []string{"apis", gv.Group, gv.Version}, &list)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return discovery{}, err
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
				o.resources = append(o.resources, gv.String()+"/"+r.Name)
			}
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
		return &malformed{fmt.Errorf("/%s: %w", strings.Join(path, "/"), err)}
	}
	return nil
}

// has reports whether a kind can be read.
func (o *discovery) has(k *kind) bool {
	return !k.optional || slices.Contains(o.resources, k.APIVersion()+"/"+k.Resource)
}

// notes says what is not read.
func (o *discovery) notes(kinds []*kind) []store.Finding {
	var missing []string
	some, someCluster := false, false
	for _, k := range kinds {
		switch has := o.has(k); k.Group {
		case v3.GroupName:
			if some = some || has; !has {
				missing = append(missing, k.Resource)
			}
		case clusterPolicy:
			someCluster = someCluster || has
		}
	}
	var out []store.Finding
	note := func(format string, args ...any) {
		out = append(out, store.Finding{Note: true, Message: fmt.Sprintf(format, args...)})
	}
	_, stored := o.groups[calicoStorage]
	switch {
	case !some && stored:
		note("%s is not served here, so there are none of its tiers and policies; those of %s, where Calico stores its own, are not read: install Calico's API server", v3.GroupVersion, calicoStorage)
	case !some:
		note("%s is not served here, so there are none of its tiers and policies; once its custom resources are installed, they are read", v3.GroupVersion)
	case len(missing) > 0:
		note("%s is served here without %s: there are none of them", v3.GroupVersion, strings.Join(missing, ", "))
	}
	if versions, served := o.groups[clusterPolicy]; served && !someCluster {
		note("%s is served here as %s, which is not read: its policies are not in force; expected %s or %s",
			clusterPolicy, suggest.OrList(versions), v1alpha2.GroupVersion, v1alpha1.GroupVersion)
	}
	return out
}

// discoverer starts and ends reflectors as what a server serves changes.
type discoverer struct {
	*coalescer
	client  *client
	log     *slog.Logger
	reflect func(ctx context.Context, st *state)
	look    chan struct{} // a kind has vanished

	running map[*state]*run
	missing map[*state]time.Time // since when a kind that is watched is not served
}

// run is a kind that is being watched.
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
	pause := backoff.Backoff{Min: d.timing.pollMin, Max: d.timing.pollMax}
	for {
		o, err := d.client.discover(ctx)
		if ctx.Err() != nil {
			return
		}
		complete := false
		if err != nil {
			d.onDiscoveryFailed(err)
			d.log.Debug("cannot ask what is served", "error", err)
		} else {
			var changed, rare bool
			changed, complete, rare = d.take(ctx, o)
			if pause.Max = d.timing.pollMax; rare {
				pause.Max = d.timing.pollRare
			}
			if changed {
				pause.Reset()
			}
		}
		var again <-chan time.Time
		if !complete {
			again = time.After(max(backoff.Jitter(pause.Next()), min(retryAfter(err), time.Minute)))
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

// take begins to watch what is new, and ends with what is gone. It reports
// whether that changed anything, whether everything is served, and whether only such
// kinds are not that most clusters do without.
func (d *discoverer) take(ctx context.Context, o discovery) (changed, complete, rare bool) {
	complete, rare = true, true
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
			d.log.Info("no longer served", "kind", st.kind.FullResource())
		}
		complete = false
		rare = rare && st.kind.Group == clusterPolicy
	}
	d.onDiscovery(o.notes(kinds))
	return changed, complete, rare
}

func (d *discoverer) start(ctx context.Context, st *state) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{cancel: cancel}
	d.running[st] = r
	d.serve(st)
	r.done.Go(func() { d.reflect(ctx, st) })
}

func (d *discoverer) stopAll() {
	for _, r := range d.running {
		r.cancel()
		r.done.Wait()
	}
}

// serve notes that a kind is served from now on.
func (co *coalescer) serve(st *state) {
	co.mu.Lock()
	defer co.mu.Unlock()
	st.served, st.synced = true, false
}

// absent notes that a kind is not served, and was not.
func (co *coalescer) absent(st *state) {
	co.mu.Lock()
	defer co.mu.Unlock()
	st.synced = true
}

// onDiscovery notes that the server has said what it serves.
func (co *coalescer) onDiscovery(notes []store.Finding) {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.discovered, co.discoveryFailure, co.notes, co.dirty = true, nil, notes, true
	co.signal()
}

// onDiscoveryFailed notes why the server does not say what it serves.
func (co *coalescer) onDiscoveryFailed(err error) {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.discoveryFailure = co.discoveryFailure.now(err)
	co.dirty = true
	co.signal()
}
