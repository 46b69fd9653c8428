package agent

import (
	"slices"
	"sync"

	"github.com/tierwall/tierwall/internal/store"
)

// Waiting holds what the first state of a store waits for. The zero value waits
// for nothing.
type Waiting struct {
	mu       sync.Mutex
	findings []store.Finding
}

// Set replaces what is waited for; nil: nothing any more.
func (w *Waiting) Set(findings []store.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.findings = slices.Clone(findings)
}

// texts gives what is waited for. A nil Waiting waits for nothing.
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
