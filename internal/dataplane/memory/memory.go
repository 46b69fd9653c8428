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
	mu           sync.Mutex
	state        *dataplane.State
	antiSpoofing dataplane.AntiSpoofing
	dnsQueue     dataplane.DNSQueueRules
}

var (
	_ dataplane.Cutter      = (*Dataplane)(nil)
	_ dataplane.AntiSpoofer = (*Dataplane)(nil)
	_ dataplane.DNSQueuer   = (*Dataplane)(nil)
	_ dataplane.FlowDecider = (*Dataplane)(nil)
	_ dataplane.HostDecider = (*Dataplane)(nil)
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
	m.state, m.antiSpoofing, m.dnsQueue = dataplane.NewState(), dataplane.AntiSpoofing{}, dataplane.DNSQueueRules{}
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

// DecideToNode decides what a local endpoint sends to its own node.
func (m *Dataplane) DecideToNode(f policy.Flow) dataplane.Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.DecideToNode(f)
}

// DecideHost decides a flow at a host endpoint by the tables.
func (m *Dataplane) DecideHost(at dataplane.AttachmentKey, f policy.Flow) dataplane.Verdict {
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

// CutDue reports that nothing is to be cut: there are no connections here.
func (m *Dataplane) CutDue() bool { return false }

// Cut does nothing.
func (m *Dataplane) Cut(context.Context) {}

// ConnectionsCut returns 0.
func (m *Dataplane) ConnectionsCut() uint64 { return 0 }

// SetAntiSpoofing keeps what is known of interfaces.
func (m *Dataplane) SetAntiSpoofing(_ context.Context, a dataplane.AntiSpoofing) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.antiSpoofing = a
	return nil
}

// AntiSpoofing returns what was set last.
func (m *Dataplane) AntiSpoofing() dataplane.AntiSpoofing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.antiSpoofing
}

// Spoofed returns 0: no packet comes by.
func (m *Dataplane) Spoofed(context.Context) (uint64, error) { return 0, nil }

// SetDNSQueue keeps the rules.
func (m *Dataplane) SetDNSQueue(_ context.Context, r dataplane.DNSQueueRules) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dnsQueue = r
	return nil
}

// DNSQueue returns the rules that were set last.
func (m *Dataplane) DNSQueue() dataplane.DNSQueueRules {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dnsQueue
}

// QueuedAnswers returns 0: no answer comes by.
func (m *Dataplane) QueuedAnswers(context.Context) (uint64, error) { return 0, nil }
