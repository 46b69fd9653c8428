package extauthz

import (
	"testing"
	"time"

	"github.com/tierwall/tierwall/policy"
)

// TestHistogram checks that a bound counts what is not longer.
func TestHistogram(t *testing.T) {
	var c counters
	for _, d := range []time.Duration{0, Bounds[0], Bounds[0] + 1, Bounds[len(Bounds)-1], time.Hour} {
		c.answered(policy.Allow, nil, d)
	}
	h := c.counts().Took
	if h.Count != 5 || h.Below[Bounds[0]] != 2 || h.Below[Bounds[1]] != 3 || h.Below[Bounds[len(Bounds)-1]] != 4 || len(h.Below) != len(Bounds) {
		t.Errorf("%+v", h)
	}
}
