package agent

import (
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// progress says how far the kernel is. It is written by the loop, and read all the time.
type progress struct {
	mu  sync.RWMutex
	now progressState
}

// progressState is a progress at one time.
type progressState struct {
	complete  bool          // the first state was taken in
	applied   time.Time     // of the last step; zero before the first
	took      time.Duration // it
	steps     int
	failure   string // why the kernel is behind; empty if it is not
	checked   time.Time
	repairs   int
	lastDrift []string
}

func (p *progress) get() progressState {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.now
}

// lastApplied returns when the kernel's tables were last changed; zero: never.
func (p *progress) lastApplied() time.Time { return p.get().applied }

func (p *progress) setComplete() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.complete = true
}

// setApplied notes a step of the kernel, and reports whether it was the first.
func (p *progress) setApplied(at time.Time, took time.Duration) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first = p.now.steps == 0
	p.now.applied, p.now.took, p.now.failure = at, took, ""
	p.now.steps++
	return first
}

func (p *progress) setFailure(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.failure = why
}

// setChecked notes what a check has found.
func (p *progress) setChecked(at time.Time, d dataplane.Drift) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.checked = at
	if len(d.Findings) == 0 {
		return
	}
	p.now.lastDrift = d.Findings
	if d.Repaired {
		p.now.repairs++
	}
}

// notReady says why the kernel is behind; "" if it is not.
func (p progressState) notReady() string {
	switch {
	case p.failure != "":
		return "the kernel does not hold the present policy: " + p.failure
	case p.applied.IsZero():
		return "nothing was programmed yet"
	}
	return ""
}
