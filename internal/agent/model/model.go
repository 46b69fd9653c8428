// Package model holds what an agent knows: the objects of the store, translated and
// compiled, and a summary of them for reports.
package model

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Model is written by the loop alone, and read by any goroutine with Read, which waits
// while it is written.
type Model struct {
	mu         sync.RWMutex
	translator *translate.Translator
	engine     *engine.Engine
	summary    *summary
	findings   []store.Finding       // the store's, at present
	staleSince time.Time             // since when the store cannot be followed; zero: it is
	interfaces map[netip.Addr]string // of this host, as host endpoints were placed by
	// unflushed says that the engine has taken the model in, and nothing came out yet.
	unflushed bool
}

// Change is what became of one object of the model.
type Change struct {
	policy.Change
	// Local says that an endpoint of this node came or went, or has other addresses or
	// another interface.
	Local bool
}

// New returns an empty model for a node.
func New(node string) *Model {
	return &Model{
		translator: translate.New(translate.Options{}), engine: NewEngine(node), summary: newSummary(node), unflushed: true,
	}
}

// NewEngine returns an engine for the endpoints of one node.
func NewEngine(node string) *engine.Engine {
	return engine.New(func(ep *policy.Endpoint) bool { return ep.Node == node })
}

// Take takes in a batch. It calls changed for each object of the model that is another
// now, and status for each object of the store of which something else is to be said,
// both while the model is locked. It returns the store's findings before.
func (m *Model) Take(b store.Batch, changed func(Change), status func(translate.Status)) (before []store.Finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.translator.Apply(b, translate.Sink{
		Change: func(c policy.Change) {
			local := m.summary.apply(c)
			m.engine.Apply(m.place(c))
			changed(Change{c, local})
		},
		Status: status,
	})
	m.summary.setGenerations(b, m.translator)
	before, m.findings, m.staleSince = m.findings, b.Findings, b.StaleSince
	return before
}

// Apply gives the engine changes that are not of the store's objects.
func (m *Model) Apply(changes []policy.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		m.engine.Apply(c)
	}
}

// Recompile makes the next Flush return everything. What Apply has given before is
// forgotten.
func (m *Model) Recompile() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unflushed {
		return
	}
	m.engine = NewEngine(m.summary.node)
	m.translator.Each(func(c policy.Change) { m.engine.Apply(m.place(c)) })
	m.unflushed = true
}

// Flush returns what the tables have to change; nil for nothing.
func (m *Model) Flush() *dataplane.Delta {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unflushed = false
	return m.engine.Flush()
}

// Read lets the caller look at the present state. What it is given holds only until it
// returns.
func (m *Model) Read(look func(v View)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	look(View{m})
}
