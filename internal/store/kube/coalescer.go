package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// coalescer takes in what the streams of all kinds bring, and makes batches of it.
type coalescer struct {
	timing  timing
	host    string
	wake    chan struct{} // something is new
	filling chan struct{} // closed when all but pods is there
	// lazyWanted is closed when a policy needs the kinds that are watched lazily.
	lazyWanted  chan struct{}
	lazyStarted bool

	mu     sync.Mutex
	space  *sync.Cond // a backlog became shorter
	states []*state   // in the order in which they are delivered
	phase  phase
	open   bool // a part was delivered, and another is to come
	// What is served besides Kubernetes' own kinds, and what there is to say of it.
	discovered       bool
	discoveryFailure *failure
	notes            []store.Finding
	// findings are the present ones, reported those of the last batch; dirty says that
	// the present ones may have changed.
	findings, reported []store.Finding
	dirty              bool
	// staleSince is since when something of what is delivered cannot be read; zero: nothing.
	staleSince time.Time
}

// phase is how far Watch is.
type phase uint8

const (
	waiting   phase = iota // for all kinds but pods to be read once
	filling                // the first state is delivered in parts, while pods come in
	streaming              // changes are delivered
)

// state is what is known of one kind.
type state struct {
	kind    *kind
	decoder *decoder // of the one goroutine that reads the kind
	index   *objectIndex
	// reading says that all objects are being read anew: those that are not seen
	// until the end are gone.
	reading   bool
	log       []change // not delivered yet
	findings  map[policy.Key][]store.Finding
	served    bool
	synced    bool          // was read once, or is not served
	wantsAll  bool          // all of its objects are wanted, and only one is watched
	allWanted chan struct{} // closed when they are
	failure   *failure      // why it cannot be read at present
}

// change is one thing that happened to an object.
type change struct {
	store.Resource // without an object if it is gone
	received       time.Time
	// fresh says that no earlier version was handed over, unless it is among the
	// changes before this one.
	fresh bool
}

// failure is why something cannot be read, and since when.
type failure struct {
	err   error
	since time.Time
}

func newCoalescer(kinds []*kind, host string, t timing) *coalescer {
	co := &coalescer{timing: t, host: host, wake: make(chan struct{}, 1), filling: make(chan struct{}), lazyWanted: make(chan struct{})}
	co.space = sync.NewCond(&co.mu)
	for _, k := range kinds {
		co.states = append(co.states, &state{
			kind: k, decoder: newDecoder(k), index: newObjectIndex(),
			findings: map[policy.Key][]store.Finding{}, served: !k.optional, synced: k.lazy, allWanted: make(chan struct{}),
		})
	}
	return co
}

// state returns that of a kind of keys; nil if it is not read.
func (co *coalescer) state(kind string) *state {
	for _, st := range co.states {
		if st.kind.Key == kind {
			return st
		}
	}
	return nil
}

// signal wakes who makes batches.
func (co *coalescer) signal() {
	select {
	case co.wake <- struct{}{}:
	default:
	}
}

// begin says that all objects of a kind are being read anew.
func (co *coalescer) begin(st *state) {
	co.mu.Lock()
	defer co.mu.Unlock()
	st.index.unmark()
	st.reading = true
}

// end says that all objects of a kind have been read: those that were not among
// them are gone.
func (co *coalescer) end(st *state, received time.Time) {
	co.mu.Lock()
	defer co.mu.Unlock()
	for _, id := range st.index.unmarked() {
		co.forget(st, id, received)
	}
	st.reading, st.synced = false, !st.wantsAll
	co.signal()
}

// onUpdate takes an object in that is new or may have changed. It waits while too
// much of the kind is not delivered yet.
func (co *coalescer) onUpdate(ctx context.Context, st *state, o object, received time.Time) {
	co.mu.Lock()
	defer co.mu.Unlock()
	before, found := st.index.get(o.namespace, o.name)
	if found && before&digestMask == o.digest {
		if st.reading {
			st.index.mark(o.namespace, o.name)
		}
		return
	}
	co.mu.Unlock()
	b := o.build() // the only one to change this kind's state is the caller
	co.mu.Lock()

	now := before&delivered | o.digest
	if b.valid() {
		now |= delivered
	}
	o.namespace = st.index.set(o.namespace, o.name, now)
	key := st.kind.keyOf(o.identity)
	if len(b.findings) > 0 {
		st.findings[key] = b.findings
		co.dirty = true
	} else if st.findings[key] != nil {
		delete(st.findings, key)
		co.dirty = true
	}
	if b.valid() {
		if selectsNodes(b.object) {
			co.watchAll(co.state(policy.KindNode))
		}
		if namesDomains(b.object) {
			co.watchAll(co.state(policy.KindService))
		}
		if refersToService(b.object) {
			co.startLazyWatches()
		}
		co.waitForSpace(ctx, st)
		st.log = append(st.log, change{store.Resource{Key: key, Object: b.object}, received, before&delivered == 0})
	}
	co.signal()
}

// onDelete takes in that an object is gone.
func (co *coalescer) onDelete(st *state, id identity, received time.Time) {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.forget(st, id, received)
	co.signal()
}

// forget is onDelete, under the lock.
func (co *coalescer) forget(st *state, id identity, received time.Time) {
	key := st.kind.keyOf(id)
	if st.findings[key] != nil {
		delete(st.findings, key)
		co.dirty = true
	}
	if st.index.remove(id.namespace, id.name) {
		st.log = append(st.log, change{store.Resource{Key: key}, received, false})
	}
}

// waitForSpace waits until the kind's backlog is below its limit. Before anything
// is delivered there is none: what comes then has to be held.
func (co *coalescer) waitForSpace(ctx context.Context, st *state) {
	if len(st.log) < st.kind.backlog() || co.phase == waiting {
		return
	}
	co.signal()
	defer context.AfterFunc(ctx, func() {
		co.mu.Lock()
		defer co.mu.Unlock()
		co.space.Broadcast()
	})()
	for len(st.log) >= st.kind.backlog() && ctx.Err() == nil {
		co.space.Wait()
	}
}

// fail notes why a kind cannot be read, until well.
func (co *coalescer) fail(st *state, err error) {
	co.mu.Lock()
	defer co.mu.Unlock()
	st.failure = st.failure.now(err)
	co.dirty = true
	co.signal()
}

// well notes that a kind can be read.
func (co *coalescer) well(st *state) {
	co.mu.Lock()
	defer co.mu.Unlock()
	if st.failure != nil {
		st.failure = nil
		co.dirty = true
		co.signal()
	}
}

// now returns the failure with its present cause.
func (t *failure) now(err error) *failure {
	if t == nil {
		return &failure{err, time.Now()}
	}
	return &failure{err, t.since}
}

// drop forgets a kind that is no longer served, and its objects.
func (co *coalescer) drop(st *state) {
	co.mu.Lock()
	defer co.mu.Unlock()
	now := time.Now()
	st.index.unmark()
	for _, id := range st.index.unmarked() {
		co.forget(st, id, now)
	}
	st.reading, st.failure, st.served, st.synced = false, nil, false, true
	co.dirty = true
	co.signal()
}

// ready reports whether all kinds but the late ones have been read once.
func (co *coalescer) ready() bool {
	return co.discovered && !slices.ContainsFunc(co.states, func(st *state) bool { return !st.synced && !st.kind.late() })
}

// complete reports whether all kinds have been read once.
func (co *coalescer) complete() bool {
	return !slices.ContainsFunc(co.states, func(st *state) bool { return !st.synced })
}
