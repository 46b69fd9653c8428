package gctune

import "testing"

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 10_000, 1: 10_000, 1 << 20: 3_100, 4 << 20: 700, 16<<20 - 1: 100, 16 << 20: 100, 1 << 30: 100,
	} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
}

// TestGOGCIsLeft: who has set the process's pace keeps it.
func TestGOGCIsLeft(t *testing.T) {
	t.Setenv("GOGC", "")
	var p pace
	p.reduceLatency()
	if p.percent != 0 {
		t.Errorf("GOGC is set, and yet: %d %%", p.percent)
	}
}
