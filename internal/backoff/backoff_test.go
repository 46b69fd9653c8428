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
