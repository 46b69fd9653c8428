package agent

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/tierwall/tierwall/internal/store"
)

// Waiting holds what the first state of a store waits for. The zero value waits
// for nothing.
type Waiting struct {
	// Log is told of each thing that is waited for, once while it lasts; nil: nobody is. Who looks at a pod that does not become
	// ready sees its log, and seldom its status.
	Log *slog.Logger

	mu       sync.Mutex
	findings []store.Finding
}

// Set replaces what is waited for; nil: nothing any more.
func (w *Waiting) Set(findings []store.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range findings {
		known := slices.ContainsFunc(w.findings, func(old store.Finding) bool { return old.Error() == f.Error() })
		if w.Log != nil && !known {
			w.Log.Warn("waiting for policy to be readable; what is in force stays in force", "error", f.Error())
		}
	}
	w.findings = slices.Clone(findings)
}

// texts returns what is waited for. A nil Waiting waits for nothing.
func (w *Waiting) texts() []string {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var texts []string
	for _, f := range w.findings {
		texts = append(texts, f.Error())
	}
	return texts
}
