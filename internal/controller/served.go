package controller

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
)

// served knows which kinds have a status that can be written. Where another API
// server than that of custom resources serves projectcalico.org, there is none.
type served struct {
	client *client
	log    *slog.Logger

	mu       sync.Mutex
	statuses map[string]bool // by statusName; nil if nothing is known yet
	absent   map[string]bool // those that were not served at all
	// stale gets a word when there are objects of a kind that was not served.
	stale chan struct{}
}

// askAgain is when to ask again what is served: kinds may be installed later, or
// taken over by another API server.
const askAgain = 5 * time.Minute

// askSoon is when to ask if that is known to have changed.
const askSoon = 2 * time.Second

// has reports whether the status of a kind can be written.
func (s *served) has(k *kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.Status != policy.EventsOnly && s.statuses[k.statusName()]
}

// seen notes that there are objects of a kind: that it was not served is no longer true.
func (s *served) seen(k *kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent[k.statusName()] {
		delete(s.absent, k.statusName())
		select {
		case s.stale <- struct{}{}:
		default:
		}
	}
}

// statusName tells resources of different groups apart.
func (k *kind) statusName() string { return k.Resource + "." + k.APIVersion() }

// ask asks what is served, and reports whether that has changed.
func (s *served) ask(ctx context.Context) (changed bool, err error) {
	now, absent := map[string]bool{}, map[string]bool{}
	var without []string
	served := map[string]map[string]metav1.Verbs{}
	for _, k := range kinds {
		if k.Status == policy.EventsOnly {
			continue
		}
		if _, asked := served[k.APIVersion()]; !asked {
			if served[k.APIVersion()], err = s.client.resources(ctx, k.APIVersion()); err != nil {
				return false, err
			}
		}
		resources := served[k.APIVersion()]
		now[k.statusName()] = slices.Contains(resources[k.Resource+"/status"], "patch")
		switch {
		case resources[k.Resource] == nil:
			absent[k.statusName()] = true
		case !now[k.statusName()]:
			without = append(without, k.statusName())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for resource, is := range now {
		changed = changed || s.statuses == nil || s.statuses[resource] != is
	}
	s.statuses, s.absent = now, absent
	if changed && len(without) > 0 {
		s.log.Warn("these are served without a status: what is wrong with them is said in Events only", "resources", without)
	}
	return changed, nil
}
