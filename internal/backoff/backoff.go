// Package backoff gives pauses between tries that grow while these fail.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff gives Min, then twice as much each time, up to Max. It may be copied before it is used, and is
// not for several goroutines at once.
type Backoff struct {
	Min, Max time.Duration

	next time.Duration
}

// Next returns the pause before the next try.
func (b *Backoff) Next() time.Duration {
	now := min(max(b.next, b.Min), b.Max)
	b.next = 2 * now
	return now
}

// Reset makes the next pause Min again: a try went well.
func (b *Backoff) Reset() { b.next = 0 }

// Jitter returns a random time from half of d to d: clients on many nodes that fail at one moment must
// not come back at one moment.
func Jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret
}
