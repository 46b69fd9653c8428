// Package backoff gives pauses between tries that grow while these fail.
package backoff

import "time"

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
