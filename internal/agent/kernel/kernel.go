// Package kernel holds the tables of this host's kernel on behalf of the agent's loop
// and of all who read from them beside it.
package kernel

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// ErrClosed says that there are no tables to change: the last attempt to has failed.
var ErrClosed = errors.New("the kernel's tables are not open")

// Kernel is a dataplane, which serves one caller at a time, or none after a failure,
// until it is opened again. Open, Close and what writes are for the loop alone; the rest is
// for any goroutine.
type Kernel struct {
	open     func() (dataplane.Dataplane, error)
	required []Requirement
	log      *slog.Logger

	mu        sync.Mutex
	dataplane dataplane.Dataplane // nil: closed
	// connectionsCut counts what dataplanes before this one have cut.
	connectionsCut uint64
}

// New returns a closed Kernel. A dataplane without the required features is refused
// when it is opened.
func New(open func() (dataplane.Dataplane, error), required []Requirement, log *slog.Logger) *Kernel {
	return &Kernel{open: open, required: required, log: log}
}

// Open opens the tables anew: the next Apply replaces all that is in force. It fails with
// dataplane.ErrUnsupported if a required feature cannot be had, which no further try will
// change.
func (k *Kernel) Open() error {
	k.Close()
	dp, err := k.open()
	if err != nil {
		return err
	}
	for _, r := range k.required {
		if err := dataplane.Require(dp, r.Feature, r.Setting); err != nil {
			return errors.Join(err, dp.Close())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dataplane = dp
	return nil
}

// IsOpen reports whether the tables can be changed.
func (k *Kernel) IsOpen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dataplane != nil
}

// Close gives the tables up, and leaves in force what is.
func (k *Kernel) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane == nil {
		return
	}
	k.connectionsCut += cutBy(k.dataplane)
	if err := k.dataplane.Close(); err != nil {
		k.log.Warn("close the kernel's tables", "error", err)
	}
	k.dataplane = nil
}

// Apply brings the tables to their next state, in one atomic step.
func (k *Kernel) Apply(ctx context.Context, d *dataplane.Delta) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane == nil {
		return ErrClosed
	}
	return k.dataplane.Apply(ctx, d)
}

// Check reads back what is in force, compares, and repairs.
func (k *Kernel) Check(ctx context.Context) (dataplane.Drift, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane == nil {
		return dataplane.Drift{}, ErrClosed
	}
	return k.dataplane.Check(ctx)
}

// Counters reads the counters of all deciders; none while the tables are closed.
func (k *Kernel) Counters(ctx context.Context) ([]dataplane.Counter, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane == nil {
		return nil, nil
	}
	return k.dataplane.Counters(ctx)
}

// State returns the tables that should be in force; nil while they are closed. It is
// for the loop: the next Apply changes it.
func (k *Kernel) State() *dataplane.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane == nil {
		return nil
	}
	return k.dataplane.State()
}

// Decider finds a decider of the tables in force.
func (k *Kernel) Decider(id dataplane.DeciderID) (d dataplane.Decider, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dataplane != nil {
		d, _, _, found = k.dataplane.State().Decider(id)
	}
	return d, found
}

// LiveConnections returns those that the kernel tracks in this network namespace.
func LiveConnections(ctx context.Context) ([]conntrack.Entry, error) {
	table, err := conntrack.Open("")
	if err != nil {
		return nil, err
	}
	defer func() { _ = table.Close() }()
	return table.Entries(ctx)
}
