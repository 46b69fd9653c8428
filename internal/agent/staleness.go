package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// DefaultStaleLimit is for how long the store may be out of reach until an agent is not ready, where
// nothing else is said: longer than an API server takes to be upgraded.
const DefaultStaleLimit = 5 * time.Minute

// StaleStatus says that the store, or a part of it, cannot be followed: what is in force is what
// was last read.
type StaleStatus struct {
	Since   time.Time `json:"since"`
	Seconds int64     `json:"seconds"` // until now
	// Limit is for how many seconds it may last until the agent is not ready; 0: for ever.
	Limit int64 `json:"limitSeconds"`
	// Reasons are why, also among the findings.
	Reasons []string `json:"reasons,omitempty"`
}

// Age returns for how long.
func (s *StaleStatus) Age() time.Duration { return time.Duration(s.Seconds) * time.Second }

// staleness returns how stale the model is; nil: not at all.
func (a *agent) staleness(v model.View, now time.Time) *StaleStatus {
	since := v.StaleSince()
	if since.IsZero() {
		return nil
	}
	s := &StaleStatus{Since: since, Seconds: int64(now.Sub(since).Seconds()), Limit: int64(a.cfg.StaleLimit.Seconds())}
	for _, f := range fileFindings(v.Findings()) {
		s.Reasons = append(s.Reasons, f.Error())
	}
	return s
}

// isBeyondLimit reports whether it has lasted for so long that the agent is not ready.
func (s *StaleStatus) isBeyondLimit() bool { return s != nil && s.Limit > 0 && s.Seconds >= s.Limit }

// unready says why an agent is not ready: it has read nothing yet, its kernel is behind, it is stuck,
// or what it has read is too old. An object that is invalid is no reason: whoever writes one would stop
// the rollout of all agents.
func (a *agent) unready() string {
	if why := a.NotReady(); why != "" {
		return why
	}
	if why := a.unhealthy(); why != "" {
		return why
	}
	var s *StaleStatus
	a.model.Read(func(v model.View) { s = a.staleness(v, time.Now()) })
	if !s.isBeyondLimit() {
		return ""
	}
	return fmt.Sprintf("the store cannot be followed for %s, and the limit is %s; what was last read stays in force: %s",
		s.Age(), a.cfg.StaleLimit, strings.Join(s.Reasons, "; "))
}

// invalidLines returns a line for each object that is not in force as the store has it, no more than
// maxLogged.
func (a *agent) invalidLines() (lines []string) {
	a.model.Read(func(v model.View) {
		for _, s := range v.Invalid() {
			if len(lines) == maxLogged {
				lines = append(lines, "and more: see /status")
				return
			}
			lines = append(lines, fmt.Sprintf("%s: %s: %s", store.ObjectName(s.Key), s.State, firstError(s)))
		}
	})
	return lines
}

// firstError returns the first thing that is wrong with an object.
func firstError(s translate.Status) string {
	for _, f := range s.Findings {
		if !f.Note {
			return f.Error()
		}
	}
	return ""
}
