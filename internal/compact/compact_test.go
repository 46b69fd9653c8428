package compact_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/compact"
)

// TestIndexIsAMap holds an index with few different hashes against a map, also
// when its numbers become too large for anything beside them.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spread := rapid.SampledFrom([]uint64{1, 1 << 60, 0x9e3779b97f4a7c15}).Draw(t, "spread")
		base := rapid.SampledFrom([]uint32{0, 1<<24 - 20, 1 << 24, 1<<31 + 5}).Draw(t, "base")
		keys := []string{""} // by item, from base
		hash := func(key string) uint64 { return spread * uint64(len(key)) }
		x := compact.NewIndex(func(item uint32) uint64 { return hash(keys[item-base]) })
		want := map[string]uint32{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			key := fmt.Sprintf("%*d", rapid.IntRange(1, 40).Draw(t, "length"), rapid.IntRange(0, 3).Draw(t, "digit"))
			got := x.Find(hash(key), func(item uint32) bool { return keys[item-base] == key })
			if got != want[key] {
				t.Fatalf("%q is item %d, want %d", key, got, want[key])
			}
			switch {
			case got != 0:
				x.Remove(hash(key), got)
				delete(want, key)
			default:
				keys = append(keys, key)
				want[key] = base + uint32(len(keys)-1)
				x.Add(hash(key), want[key])
			}
		}
		if x.Len() != len(want) {
			t.Fatalf("%d items, want %d", x.Len(), len(want))
		}
		var all []uint32
		x.Each(func(item uint32) { all = append(all, item) })
		slices.Sort(all)
		if wanted := slices.Sorted(maps.Values(want)); !slices.Equal(all, wanted) {
			t.Fatalf("all items: %v, want %v", all, wanted)
		}
	})
}

func TestSlabUsesNumbersAgain(t *testing.T) {
	var s compact.Slab[int]
	for i := range 3000 {
		n := s.Add()
		if n != uint32(i+1) {
			t.Fatalf("item %d is number %d", i, n)
		}
		*s.At(n) = i
	}
	s.Drop(7)
	if s.Len() != 2999 {
		t.Errorf("%d items, want 2999", s.Len())
	}
	if n := s.Add(); n != 7 {
		t.Errorf("a free number is 7, got %d", n)
	}
	for i := range 3000 {
		if got := *s.At(uint32(i + 1)); got != i {
			t.Fatalf("item %d holds %d", i, got)
		}
	}
}

func TestInternedStringsAreKeptOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := compact.NewInterner()
		held := map[string]int{}
		ids := map[string]uint32{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			text := rapid.SampledFrom([]string{"", "a", "b", "ab", "ba", "aa"}).Draw(t, "text")
			switch {
			case held[text] > 0 && rapid.Bool().Draw(t, "release"):
				held[text]--
				if last := w.Release(ids[text]); last != (held[text] == 0 && text != "") {
					t.Fatalf("%q was released by its last holder: %v", text, last)
				}
			default:
				id := uint32(0)
				if rapid.Bool().Draw(t, "from a buffer") {
					isNew := false
					if id, isNew = w.RetainBytes([]byte(text)); isNew != (held[text] == 0 && text != "") {
						t.Fatalf("%q is new: %v", text, isNew)
					}
				} else {
					id = w.Retain(text)
				}
				if held[text] > 0 && id != ids[text] {
					t.Fatalf("%q was %d and is %d", text, ids[text], id)
				}
				ids[text] = id
				held[text]++
			}
			for text, n := range held {
				switch found := w.Find(text); {
				case n > 0 && (found != ids[text] || w.At(found) != text):
					t.Fatalf("%q is %d (%q), want %d", text, found, w.At(found), ids[text])
				case n == 0 && found != 0:
					t.Fatalf("%q is still held", text)
				}
			}
		}
		for text, n := range held {
			for range n {
				w.Release(ids[text])
			}
		}
		if w.Len() != 0 {
			t.Fatalf("%d strings are left", w.Len())
		}
	})
}
