package controller

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	v3 "github.com/tierwall/tierwall/api/v3"
)

// served knows which kinds have a status that can be written. Where another API
// server than that of custom resources serves projectcalico.org, there is none.
type served struct {
	client *client
	log    *slog.Logger

	mu       sync.Mutex
	statuses map[string]bool // by resource; nil if nothing is known yet
}

// askAgain is when to ask again what is served: kinds may be installed later, or
// taken over by another API server.
const askAgain = 5 * time.Minute

// has reports whether the status of a kind can be written.
func (s *served) has(k *kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.form != noStatus && s.statuses[k.resource]
}

// ask asks what is served, and reports whether that is new.
func (s *served) ask(ctx context.Context) (news bool, err error) {
	resources, err := s.client.resources(ctx, v3.GroupVersion)
	if err != nil {
		return false, err
	}
	now := map[string]bool{}
	var without []string
	for _, k := range kinds {
		if k.form == noStatus {
			continue
		}
		now[k.resource] = slices.Contains(resources[k.resource+"/status"], "patch")
		if !now[k.resource] && resources[k.resource] != nil {
			without = append(without, k.resource)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for resource, is := range now {
		news = news || s.statuses == nil || s.statuses[resource] != is
	}
	s.statuses = now
	if news && len(without) > 0 {
		s.log.Warn("these are served without a status: what is wrong with them is said in Events only", "group", v3.GroupName, "resources", without)
	}
	return news, nil
}
