package kube

import (
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// partSize is how many changes one batch has. A step of more is delivered in
// parts.
const partSize = 1000

// take makes the next batch, if there is one. Otherwise it says after which time
// there may be one even if nothing arrives; 0: none.
func (co *coalescer) take(now time.Time) (b store.Batch, deliver bool, again time.Duration) {
	co.mu.Lock()
	defer co.mu.Unlock()
	if co.phase == waiting {
		if !co.ready() {
			return store.Batch{}, false, 0
		}
		co.phase = filling
		close(co.filling)
	}
	again = co.refresh(now)
	first := co.phase == filling
	var p part
	for _, st := range co.states {
		co.takeFrom(st, &p, now)
	}
	co.space.Broadcast()
	b = p.batch()
	b.More = p.left || first && !co.complete()
	again = sooner(again, p.held)
	deliver = len(b.Updated)+len(b.Deleted) > 0
	if !b.More {
		// The end of a step is delivered even if it holds nothing.
		deliver = deliver || first || co.open || !slices.Equal(co.findings, co.reported)
	}
	if !deliver {
		return store.Batch{}, false, again
	}
	b.Findings, co.reported = co.findings, co.findings
	b.StaleSince = co.staleSince
	if b.Received.IsZero() {
		b.Received = now
	}
	co.open = b.More
	if first && !b.More {
		co.phase = streaming
		co.dirty = true // what is in force meanwhile is now what was read
	}
	return b, true, again
}

// sooner returns the shorter time, where 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// part is a batch that is being made.
type part struct {
	changes []change
	left    bool          // more could be taken at once
	held    time.Duration // until something may be taken that is held now; 0: nothing is
}

// takeFrom moves changes of a kind to the part.
func (co *coalescer) takeFrom(st *state, p *part, now time.Time) {
	if co.phase == streaming && st.reading && len(st.log) < st.kind.backlog()/2 {
		return // what is read anew is one step, once it is all there
	}
	if co.phase == streaming {
		st.log = collapse(st.log) // a later version must not overtake one that is held
	}
	var held []change
	i := 0
	for ; i < len(st.log); i++ {
		if wait := co.dependencyWait(&st.log[i], now); wait > 0 {
			held = append(held, st.log[i])
			p.held = sooner(p.held, wait)
			continue
		}
		if len(p.changes) == partSize {
			p.left = true
			break
		}
		p.changes = append(p.changes, st.log[i])
	}
	clear(st.log[:i]) // nothing is kept of what is delivered
	st.log = st.log[i:]
	switch {
	case len(held) > 0:
		st.log = append(held, st.log...)
	case len(st.log) == 0:
		st.log = nil
	}
}

// batch makes a batch of the changes.
func (p *part) batch() store.Batch {
	var b store.Batch
	for i := range p.changes {
		if at := p.changes[i].received; b.Received.IsZero() || at.Before(b.Received) {
			b.Received = at
		}
	}
	p.changes = collapse(p.changes)
	for i := range p.changes {
		if c := &p.changes[i]; c.Object != nil {
			b.Updated = append(b.Updated, c.Resource)
		} else {
			b.Deleted = append(b.Deleted, c.Key)
		}
	}
	return b
}

// collapse leaves the last change of each object, in its place. What came and
// went, and was never handed over, is in none.
func collapse(changes []change) []change {
	if len(changes) < 2 {
		return changes
	}
	last := make(map[policy.Key]int, len(changes))
	fresh := map[policy.Key]bool{} // of the first change, where there are several
	for i := range changes {
		c := &changes[i]
		if before, found := last[c.Key]; found {
			if _, found := fresh[c.Key]; !found {
				fresh[c.Key] = changes[before].fresh
			}
		}
		last[c.Key] = i
	}
	if len(fresh) == 0 {
		return changes
	}
	out := changes[:0]
	for i := range changes {
		c := changes[i]
		if last[c.Key] != i {
			continue
		}
		if first, several := fresh[c.Key]; several {
			c.fresh = first
		}
		if c.Object != nil || !c.fresh {
			out = append(out, c)
		}
	}
	clear(changes[len(out):])
	return out
}
