package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// gather takes in what the streams of all kinds bring, and makes batches of it.
type gather struct {
	timing  timing
	host    string
	wake    chan struct{} // something is new
	filling chan struct{} // closed when all but pods is there
	// demanded is closed when the kinds on demand are wanted.
	demanded   chan struct{}
	isDemanded bool

	mu     sync.Mutex
	space  *sync.Cond // a backlog became shorter
	states []*state   // in the order in which they are delivered
	phase  phase
	open   bool // a part was delivered, and another is to follow
	// What is served besides Kubernetes' own kinds, and what there is to say of it.
	discovered bool
	discovery  *trouble
	notes      []store.Finding
	// findings are the present ones, said those of the last batch; dirty says that
	// the present ones may have changed.
	findings, said []store.Finding
	dirty          bool
}

// phase is how far Watch is.
type phase uint8

const (
	waiting   phase = iota // for all kinds but pods to be read once
	filling                // the first state is delivered in parts, while pods come in
	following              // changes are delivered
)

// state is what is known of one kind.
type state struct {
	kind    *kind
	decoder *decoder // of the one goroutine that follows the kind
	known   *known
	// reading says that all objects are being read anew: those that are not seen
	// until the end are gone.
	reading  bool
	log      []change // not delivered yet
	findings map[policy.Key][]store.Finding
	served   bool
	synced   bool          // was read once, or is not served
	widening bool          // all of its objects are wanted, and only one is followed
	widened  chan struct{} // closed when they are
	trouble  *trouble      // why it cannot be read at present
}

// change is one thing that happened to an object.
type change struct {
	store.Resource // without an object if it is gone
	received       time.Time
	// fresh says that no earlier version was handed over, unless it is among the
	// changes before this one.
	fresh bool
}

// trouble is why something cannot be read, and since when.
type trouble struct {
	err   error
	since time.Time
}

func newGather(kinds []*kind, host string, t timing) *gather {
	g := &gather{timing: t, host: host, wake: make(chan struct{}, 1), filling: make(chan struct{}), demanded: make(chan struct{})}
	g.space = sync.NewCond(&g.mu)
	for _, k := range kinds {
		g.states = append(g.states, &state{
			kind: k, decoder: newDecoder(k), known: newKnown(),
			findings: map[policy.Key][]store.Finding{}, served: !k.optional, synced: k.onDemand, widened: make(chan struct{}),
		})
	}
	return g
}

// state returns that of a kind of keys; nil if it is not read.
func (g *gather) state(kind string) *state {
	for _, st := range g.states {
		if st.kind.Key == kind {
			return st
		}
	}
	return nil
}

// signal wakes who makes batches.
func (g *gather) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// begin says that all objects of a kind are being read anew.
func (g *gather) begin(st *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.known.unsee()
	st.reading = true
}

// end says that all objects of a kind have been read: those that were not among
// them are gone.
func (g *gather) end(st *state, received time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range st.known.unseen() {
		g.forget(st, id, received)
	}
	st.reading, st.synced = false, !st.widening
	g.signal()
}

// news takes an object in that is new or may have changed. It waits while too
// much of the kind is not delivered yet.
func (g *gather) news(ctx context.Context, st *state, o object, received time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, found := st.known.get(o.namespace, o.name)
	if found && before&digestMask == o.digest {
		if st.reading {
			st.known.see(o.namespace, o.name)
		}
		return
	}
	g.mu.Unlock()
	b := o.build() // the only one to change this kind's state is the caller
	g.mu.Lock()

	now := before&given | o.digest
	if b.valid() {
		now |= given
	}
	o.namespace = st.known.set(o.namespace, o.name, now)
	key := st.kind.keyOf(o.identity)
	if len(b.findings) > 0 {
		st.findings[key] = b.findings
		g.dirty = true
	} else if st.findings[key] != nil {
		delete(st.findings, key)
		g.dirty = true
	}
	if b.valid() {
		if selectsNodes(b.object) {
			g.widen(g.state(policy.KindNode))
		}
		if refersToService(b.object) {
			g.demand()
		}
		g.waitForSpace(ctx, st)
		st.log = append(st.log, change{store.Resource{Key: key, Object: b.object}, received, before&given == 0})
	}
	g.signal()
}

// gone takes in that an object is gone.
func (g *gather) gone(st *state, id identity, received time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(st, id, received)
	g.signal()
}

// forget is gone, under the lock.
func (g *gather) forget(st *state, id identity, received time.Time) {
	key := st.kind.keyOf(id)
	if st.findings[key] != nil {
		delete(st.findings, key)
		g.dirty = true
	}
	if st.known.remove(id.namespace, id.name) {
		st.log = append(st.log, change{store.Resource{Key: key}, received, false})
	}
}

// waitForSpace waits until the kind's backlog is below its limit. Before anything
// is delivered there is none: what comes then has to be held.
func (g *gather) waitForSpace(ctx context.Context, st *state) {
	if len(st.log) < st.kind.backlog() || g.phase == waiting {
		return
	}
	g.signal()
	defer context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.space.Broadcast()
	})()
	for len(st.log) >= st.kind.backlog() && ctx.Err() == nil {
		g.space.Wait()
	}
}

// fail notes why a kind cannot be read, until well.
func (g *gather) fail(st *state, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.trouble = st.trouble.now(err)
	g.dirty = true
	g.signal()
}

// well notes that a kind can be read.
func (g *gather) well(st *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if st.trouble != nil {
		st.trouble = nil
		g.dirty = true
		g.signal()
	}
}

// now returns the trouble with its present cause.
func (t *trouble) now(err error) *trouble {
	if t == nil {
		return &trouble{err, time.Now()}
	}
	return &trouble{err, t.since}
}

// drop forgets a kind that is no longer served, and its objects.
func (g *gather) drop(st *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	st.known.unsee()
	for _, id := range st.known.unseen() {
		g.forget(st, id, now)
	}
	st.reading, st.trouble, st.served, st.synced = false, nil, false, true
	g.dirty = true
	g.signal()
}

// ready reports whether all kinds but the late ones have been read once.
func (g *gather) ready() bool {
	return g.discovered && !slices.ContainsFunc(g.states, func(st *state) bool { return !st.synced && !st.kind.late() })
}

// complete reports whether all kinds have been read once.
func (g *gather) complete() bool {
	return !slices.ContainsFunc(g.states, func(st *state) bool { return !st.synced })
}
