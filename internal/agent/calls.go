package agent

import (
	"context"
	"fmt"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

var _ component.Loop = (*agent)(nil)

// Call implements component.Loop.
func (a *agent) Call(ctx context.Context, f func()) error {
	select {
	case a.calls <- f:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited for the agent, which is busy: %w", ctx.Err())
	case <-a.ended:
		return component.ErrEnded
	}
}

// takeCalls makes all calls that wait at this moment, so that one step of the
// kernel serves all of them.
func (a *agent) takeCalls() {
	for {
		select {
		case call := <-a.calls:
			call()
		default:
			return
		}
	}
}

// Take implements component.Loop.
func (a *agent) Take(b store.Batch) {
	if len(b.Updated)+len(b.Deleted) == 0 {
		return
	}
	a.model.Read(func(v model.View) { b.Findings, b.StaleSince = v.Findings(), v.StaleSince() })
	a.take(b)
}

// Emit implements component.Loop.
func (a *agent) Emit(changes []policy.Change) {
	if len(changes) == 0 {
		return
	}
	a.model.Apply(changes)
	for _, change := range changes {
		for _, c := range a.components {
			c.Changed(model.Change{Change: change})
		}
	}
}

// LocalChanged implements component.Loop.
func (a *agent) LocalChanged() { a.localChanged = true }

// Complete implements component.Loop.
func (a *agent) Complete() bool { return a.progress.get().complete }

// FirstInForce implements component.Loop.
func (a *agent) FirstInForce() <-chan struct{} { return a.firstInForce }

// Ended implements component.Loop.
func (a *agent) Ended() <-chan struct{} { return a.ended }

// NotReady implements component.Loop.
func (a *agent) NotReady() string {
	p := a.progress.get()
	return p.notReady()
}
