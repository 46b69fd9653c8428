package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

// TestUrgentFirst checks that what is urgent overtakes what is not, each object
// once.
func TestUrgentFirst(t *testing.T) {
	q := newQueue()
	defer q.ShutDown()
	q.put([]change{{key: gnpKey("a")}, {key: gnpKey("b")}, {key: gnpKey("c"), urgent: true}, {key: gnpKey("b")}, {key: gnpKey("d"), urgent: true}})
	var got []string
	for range 4 {
		key, _ := q.Get()
		got = append(got, key.Name)
		q.Done(key)
	}
	if d := cmp.Diff([]string{"c", "d", "a", "b"}, got); d != "" || q.Len() != 0 {
		t.Errorf("%d left (-want +got):\n%s", q.Len(), d)
	}
}

// TestSoonerCounts checks that an object that waits for numbers does not wait
// when something else is to be said of it.
func TestSoonerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.ShutDown()
		begin := time.Now()
		q.put([]change{{key: gnpKey("a"), after: afterNumbers}})
		time.Sleep(time.Second)
		q.put([]change{{key: gnpKey("a"), after: afterObject}})
		q.put([]change{{key: gnpKey("a"), after: afterNumbers}})
		key, _ := q.Get()
		if waited := time.Since(begin); key != gnpKey("a") || waited < time.Second+afterObject || waited > 2*time.Second {
			t.Errorf("%v after %s", key, waited)
		}
		q.Done(key)
		time.Sleep(time.Minute)
		if q.Len() != 0 {
			t.Errorf("%d wait", q.Len())
		}
	})
}

// TestFifo compares a line with a slice.
func TestFifo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fifo
		var want []policy.Key
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") || len(want) == 0 {
				key := gnpKey(string(rune('a' + i)))
				f.push(key)
				want = append(want, key)
				continue
			}
			if got := f.pop(); got != want[0] {
				t.Fatalf("got %v, want %v", got, want[0])
			}
			want = want[1:]
			if f.len() != len(want) || cap(f.keys) > 1024 {
				t.Fatalf("%d in line in room for %d, want %d", f.len(), cap(f.keys), len(want))
			}
		}
	})
}
