// Package memory is a dataplane that enforces nothing: tables in memory, which
// decide flows when asked. Tests and offline commands use it, and it is what
// the other backends are held against.
package memory

import (
	"context"
	"sync"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Dataplane keeps the tables of the deltas it was given. It is safe for
// concurrent use.
type Dataplane struct {
	mu    sync.Mutex
	state *dataplane.State
}

var (
	_ dataplane.Dataplane   = (*Dataplane)(nil)
	_ dataplane.FlowDecider = (*Dataplane)(nil)
)

// New makes a dataplane without tables: it allows everything.
func New() *Dataplane { return &Dataplane{state: dataplane.NewState()} }

// Apply takes the tables their next step; an error means that the delta does not fit.
func (m *Dataplane) Apply(_ context.Context, d *dataplane.Delta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Apply(d)
}

// Check finds no drift: nobody else can write here.
func (m *Dataplane) Check(context.Context) (dataplane.Drift, error) { return dataplane.Drift{}, nil }

// Counters returns every decider, and nothing counted.
func (m *Dataplane) Counters(context.Context) ([]dataplane.Counter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var counters []dataplane.Counter
	for _, d := range m.state.Deciders() {
		counters = append(counters, dataplane.Counter{Decider: d})
	}
	return counters, nil
}

// Remove forgets all tables.
func (m *Dataplane) Remove(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = dataplane.NewState()
	return nil
}

// Close does nothing.
func (m *Dataplane) Close() error { return nil }

// Decide decides a flow by the tables.
func (m *Dataplane) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Decide(f)
}

// DecideHost decides a flow at a host endpoint by the tables.
func (m *Dataplane) DecideHost(at dataplane.PointKey, f policy.Flow) dataplane.Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.DecideHost(at, f)
}

// State returns the tables themselves; they must not be used while Apply runs.
func (m *Dataplane) State() *dataplane.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}
