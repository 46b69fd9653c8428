// Package component is the contract between the agent's loop and its components.
//
// The loop is one goroutine. It takes in what the store says, brings the kernel to
// that, and knows nothing else. All else that an agent does beside (learning the
// addresses of domains, answering proxies and the CNI plugin, reports) is a
// component: a type in a folder of its own that implements [Component], and a line in
// the list of components of package agent. A component embeds [Base] and overrides
// what it needs.
//
// # Who calls what, and when
//
// All methods but those of the optional interfaces are called by the goroutine of the
// loop (Start before it, Close after it), for all components in the order of the list
// (Close in the reverse order), never two at once:
//
//	Start                                    once, before anything is taken in
//	for each batch:
//	    Adapt                                the batch may be changed
//	    Changed, Changed, ...                once for each object of the model
//	    Taken                                the model holds the batch
//	FirstState                               once, after the store's first complete state
//	for each attempt at the kernel:
//	    BeforeStep                           settings of the kernel, last changes of the model
//	    (the kernel takes one atomic step)
//	    AfterStep                            or why it did not
//	Close                                    once, after the context of Start has ended
//
// An attempt follows whatever may have changed something: batches of the store that
// waited together, calls by way of [Loop.Call], a pause after a failed attempt, the
// regular check. There is none before FirstState. Between a failed attempt and the next
// try, batches and calls are taken in without one, and AfterStep is called with the
// error that is being waited for.
//
// # What must hold
//
//   - Level, not edge: an attempt may be repeated, and a failed one is followed by one
//     with [Step.Full], for which a component states everything again. What it has done
//     before must do no harm a second time.
//   - BeforeStep may widen what is checked and narrow what is allowed before the tables
//     change, never the reverse: it must leave the kernel such that what was in force
//     stays in force if the attempt ends there.
//   - Whoever waits for policy to be in force (a DNS client, a pod) is let go in
//     AfterStep with a nil error, and nowhere else. The order of the list decides who is
//     first: connections of an address's previous owner are ended before a pod is told
//     that its policy holds.
//   - The methods do not wait for anything but the kernel: what takes time belongs into
//     goroutines, which Start begins, which end with its context, and which come back
//     into the loop by [Loop.Call].
//   - State that goroutines, metrics or status read is guarded by the component itself.
package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Component is one concern of an agent.
type Component interface {
	// Start begins what goes on beside the loop, until the context ends. An error ends
	// the agent before it has changed anything.
	Start(ctx context.Context) error
	// Adapt may change what a batch says. Its slices are the store's: they are cloned
	// before they are changed.
	Adapt(b *store.Batch)
	// Changed is told what became of one object of the model. It is called while the
	// model is locked, and must not ask it.
	Changed(c model.Change)
	// Taken is told of a batch that the model holds now.
	Taken(b *store.Batch)
	// FirstState is called when the first complete state of the store was taken in and
	// nothing is in force yet. What must be in force beside it is added by Loop.Take.
	FirstState()
	// BeforeStep makes settings of the kernel that do not come from the engine, and adds to
	// the model by Loop.Emit what the step is to hold beside the store's objects. An
	// error fails the attempt: the next one is Full.
	BeforeStep(ctx context.Context, s Step) error
	// AfterStep is told how an attempt went.
	AfterStep(ctx context.Context, r Result)
	// Close frees what is open, and waits for goroutines that use it. Components whose
	// Start was not called, or failed, are closed too.
	Close() error
}

// Step is one attempt to bring the kernel to the present state of the model.
type Step struct {
	// Full says that everything is written anew. The kernel has none of the settings that
	// components made, and the engine nothing that they emitted.
	Full bool
	// LocalChange says that since the last attempt local endpoints, their addresses, or
	// interfaces of this host may have changed.
	LocalChange bool
	// Resync says that what nobody notifies of is to be looked at again.
	Resync bool
}

// Result is how an attempt went.
type Result struct {
	// Err is why the kernel does not hold the present model; nil: it does.
	Err error
	// First says that it was the first attempt, with the store's first complete state.
	First bool
}

// Loop is the agent's loop, as its components use it.
type Loop interface {
	// Call has the loop call f, between attempts; an attempt follows. It returns when the
	// loop is about to, or fails if the context or the loop (ErrEnded) ends first. It must not be
	// called by the loop's own goroutine.
	Call(ctx context.Context, f func()) error
	// Take takes in a batch that is not the store's. Of the loop's goroutine only: in
	// a function of Call, or in FirstState.
	Take(b store.Batch)
	// Emit gives changes of the model that are not of the store's objects to the engine and
	// to all components. Of the loop's goroutine only: in BeforeStep.
	Emit(changes []policy.Change)
	// LocalChanged sets LocalChange of the next attempt. Of the loop's goroutine only.
	LocalChanged()
	// Complete reports whether the store's first complete state was taken in.
	Complete() bool
	// FirstInForce is closed when the kernel holds the first state.
	FirstInForce() <-chan struct{}
	// NotReady says why the kernel does not hold the present policy; "" if it does.
	NotReady() string
	// Ended is closed when the loop has ended.
	Ended() <-chan struct{}
}

// ErrEnded says that the loop has ended.
var ErrEnded = errors.New("the agent has ended")

// Env is what a component is made with.
type Env struct {
	Loop
	// Node is the name of this node.
	Node   string
	Model  *model.Model
	Kernel *kernel.Kernel
	Log    *slog.Logger
	// Metrics takes what /metrics is to show.
	Metrics prometheus.Registerer
	// RunDir is where files of this network namespace lie, which Namespace is the number of.
	RunDir    string
	Namespace uint64
}

// RunFile returns the path of a file that an agent keeps for the next one in the same
// network namespace.
func RunFile(dir, name string, namespace uint64, ext string) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d%s", name, namespace, ext))
}

// StatusReporter is a component that has a field of its own in /status. It is called
// by any goroutine.
type StatusReporter interface {
	// Status returns the field's name and its content, for JSON; nil: there is none.
	Status() (field string, content any)
}

// HealthChecker is a component that may need the agent to be started again. It is called
// by any goroutine.
type HealthChecker interface {
	// Unhealthy says why; "" if it need not be.
	Unhealthy() string
}

// Server is a component that serves a path on the agent's address.
type Server interface {
	http.Handler
	// Path returns the path, and in a few words what is there.
	Path() (path, what string)
}

// Base does nothing, for components to embed.
type Base struct{}

var _ Component = Base{}

// Start implements Component.
func (Base) Start(context.Context) error { return nil }

// Adapt implements Component.
func (Base) Adapt(*store.Batch) {}

// Changed implements Component.
func (Base) Changed(model.Change) {}

// Taken implements Component.
func (Base) Taken(*store.Batch) {}

// FirstState implements Component.
func (Base) FirstState() {}

// BeforeStep implements Component.
func (Base) BeforeStep(context.Context, Step) error { return nil }

// AfterStep implements Component.
func (Base) AfterStep(context.Context, Result) {}

// Close implements Component.
func (Base) Close() error { return nil }
