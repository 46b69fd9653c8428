package dataplane

import (
	"context"

	"github.com/tierwall/tierwall/policy"
)

// Counter is what a decider has counted since the tables were made.
type Counter struct {
	Decider Decider
	Packets uint64 // packets that met the tables: the first ones of connections, and all denied ones
	Bytes   uint64
}

// Drift is what a read-back found in the kernel that is not as it was written.
type Drift struct {
	Findings []string // one line each; empty if the kernel holds what it should
	Repaired bool
}

// Dataplane enforces tables. Its methods may be called from one goroutine at a time.
type Dataplane interface {
	// Apply brings the tables to their next state. The first delta of a new
	// Dataplane replaces, in the same atomic step, whatever an earlier process
	// left in force. On an error nothing has changed.
	Apply(ctx context.Context, d *Delta) error
	// Check reads back what is in force and compares. Differences are repaired
	// by writing everything anew in one step.
	Check(ctx context.Context) (Drift, error)
	// Counters reads the counters of all deciders.
	Counters(ctx context.Context) ([]Counter, error)
	// Remove takes everything away that Apply made. Nothing is enforced afterwards.
	Remove(ctx context.Context) error
	// Close frees resources and leaves what is in force.
	Close() error
}

// Cutter is a dataplane that ends live connections which a change denies, at the
// time that its user chooses.
type Cutter interface {
	Dataplane
	// CutDue reports whether changes since the last Cut may deny live connections.
	CutDue() bool
	// Cut ends the live connections that are denied. That it cannot is for its log.
	Cut(ctx context.Context)
	// ConnectionsCut returns how many it has ended; callable at any time.
	ConnectionsCut() uint64
}

// Verdict is what tables say of one end of a flow.
type Verdict struct {
	Governed bool // false: the end has no say
	Allow    bool
	Decider  DeciderID
}

// FlowDecider decides flows by tables; *State does, and backends may by what they read back.
type FlowDecider interface {
	Decide(f policy.Flow) (egress, ingress Verdict)
}
