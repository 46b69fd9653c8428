package learn

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestWaitingIsShared: a namespace whose answers wait without end has its own let go, and
// nobody else's.
func TestWaitingIsShared(t *testing.T) {
	var w waitingAnswers
	let := map[string]int{}
	of := map[uint32]string{}
	add := func(id uint32, namespace string) {
		of[id] = namespace
		if gone, over := w.add(waitingAnswer{id: id, namespace: namespace}); over {
			let[of[gone]]++
		}
	}
	for i := range uint32(10_000) {
		add(i+1, "flood")
		if i%100 == 0 {
			add(i+100_001, "shop")
		}
	}
	if len(w.list) != maxHeld || w.have["shop"] != 100 || let["shop"] != 0 || let["flood"] != 10_100-maxHeld {
		t.Errorf("%d wait: %v; let go: %v", len(w.list), w.have, let)
	}
	w.remove(func(a *waitingAnswer) bool { return a.namespace == "flood" }, func(*waitingAnswer) {})
	if len(w.list) != 100 || len(w.have) != 1 {
		t.Errorf("%d wait: %v", len(w.list), w.have)
	}
}

// TestWaitingAnswers: whoever's answers come and go, each one goes once.
func TestWaitingAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waitingAnswers
		gone := map[uint32]bool{}
		leave := func(id uint32) {
			if gone[id] {
				t.Fatalf("answer %d goes twice", id)
			}
			gone[id] = true
		}
		n := uint32(rapid.IntRange(1, 3*maxHeld).Draw(t, "answers"))
		spread := rapid.IntRange(1, 5).Draw(t, "namespaces")
		for id := range n {
			if out, over := w.add(waitingAnswer{id: id, namespace: fmt.Sprint(int(id*id) % spread)}); over {
				leave(out)
			}
			if id%1500 == 700 {
				w.remove(func(a *waitingAnswer) bool { return a.id%2 == 0 }, func(a *waitingAnswer) { leave(a.id) })
			}
			if len(w.list) > maxHeld {
				t.Fatalf("%d wait", len(w.list))
			}
		}
		w.remove(func(*waitingAnswer) bool { return true }, func(a *waitingAnswer) { leave(a.id) })
		if len(gone) != int(n) || len(w.list)+len(w.have) != 0 {
			t.Errorf("%d of %d went; left: %v", len(gone), n, w.have)
		}
	})
}
