package extauthz

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/policy"
)

// Counts are how many requests were answered in which way since the server began.
type Counts struct {
	Allowed, Denied uint64
	// Refused are those that were denied without policy being asked (see
	// State.Decide), of which RefusedBy says why: its keys are all reasons there are.
	Refused   uint64
	RefusedBy map[string]uint64
	// Unreadable are messages that are no request; they are answered by an error of gRPC.
	Unreadable uint64
	// Connections are open now; Displaced were closed for others to have room.
	Connections int
	Displaced   uint64
	// Took is how long answers took, from the request as read to the response.
	Took Histogram
}

// Histogram counts durations.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	// Below counts, for each of Bounds, the durations that are not longer.
	Below map[time.Duration]uint64
}

// Bounds are those of a Histogram.
var Bounds = [...]time.Duration{
	2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond,
	200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
}

// Reasons why a request is refused.
const (
	reasonNotReady = iota
	reasonUnknown
	reasonIdentity
	reasonMalformed
	reasons
)

var reasonNames = [reasons]string{"not-ready", "unknown-destination", "identity", "malformed"}

func reasonOf(err error) int {
	switch {
	case errors.Is(err, errNotReady):
		return reasonNotReady
	case errors.Is(err, errUnknown):
		return reasonUnknown
	case errors.Is(err, errIdentity):
		return reasonIdentity
	}
	return reasonMalformed
}

// counters count without a lock: they are in the way of each request.
type counters struct {
	allowed, denied, unreadable atomic.Uint64
	refused                     [reasons]atomic.Uint64

	took [len(Bounds) + 1]atomic.Uint64 // each duration once
	sum  atomic.Int64
}

// answered counts an answer. err says why policy was not asked.
func (c *counters) answered(verdict policy.Action, err error, took time.Duration) {
	switch {
	case err != nil:
		c.refused[reasonOf(err)].Add(1)
	case verdict == policy.Allow:
		c.allowed.Add(1)
	default:
		c.denied.Add(1)
	}
	i := 0
	for i < len(Bounds) && took > Bounds[i] {
		i++
	}
	c.took[i].Add(1)
	c.sum.Add(int64(took))
}

// counts returns what was counted.
func (c *counters) counts() Counts {
	out := Counts{
		Allowed: c.allowed.Load(), Denied: c.denied.Load(), Unreadable: c.unreadable.Load(),
		RefusedBy: map[string]uint64{}, Took: Histogram{Sum: time.Duration(c.sum.Load()), Below: map[time.Duration]uint64{}},
	}
	for i, name := range reasonNames {
		n := c.refused[i].Load()
		out.RefusedBy[name] = n
		out.Refused += n
	}
	for i := range c.took {
		out.Took.Count += c.took[i].Load()
		if i < len(Bounds) {
			out.Took.Below[Bounds[i]] = out.Took.Count
		}
	}
	return out
}
