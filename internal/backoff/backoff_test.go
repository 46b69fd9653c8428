package backoff

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNext(t *testing.T) {
	b := Backoff{Min: 2 * time.Second, Max: 9 * time.Second}
	next := func(n int) (pauses []time.Duration) {
		for range n {
			pauses = append(pauses, b.Next())
		}
		return pauses
	}
	if d := cmp.Diff([]time.Duration{2e9, 4e9, 8e9, 9e9, 9e9}, next(5)); d != "" {
		t.Error(d)
	}
	b.Reset()
	if d := cmp.Diff([]time.Duration{2e9, 4e9}, next(2)); d != "" {
		t.Errorf("after a reset: %s", d)
	}
}

func TestJitter(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 2, time.Second} {
		for range 100 {
			if got := Jitter(d); got < d/2 || got > d {
				t.Fatalf("%s of %s: expected half of it at least, and no more than all", got, d)
			}
		}
	}
}
