package kube

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestKnownIsAMap holds the bookkeeping against plain maps, with names that share
// their heads, that differ in where they could be cut, and that no server would give.
func TestKnownIsAMap(t *testing.T) {
	words := []string{"", "a", "web", "web-7d4b9c6f5b-", "db-", "-", "--", "x2x4z", "0", "1234567", "12345678", "a/b", "\x00", "\x01a"}
	word := rapid.SampledFrom(words)
	rapid.Check(t, func(rt *rapid.T) {
		type version struct {
			stamp stamp
			seen  bool
		}
		k, want := newObjectIndex(), map[identity]version{}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			id := identity{namespace: word.Draw(rt, "namespace"), name: word.Draw(rt, "head") + word.Draw(rt, "tail")}
			if id.name == "" {
				continue
			}
			before, was := want[id]
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				m := stamp(rapid.Uint64().Draw(rt, "mark")) &^ marked
				if ns := k.set(id.namespace, id.name, m); ns != id.namespace {
					rt.Fatalf("the namespace of %v is %q", id, ns)
				}
				want[id] = version{m, true}
			case 2:
				if given := k.remove(id.namespace, id.name); given != (before.stamp>>63 != 0) {
					rt.Fatalf("removed %v: given %v", id, given)
				}
				delete(want, id)
			case 3:
				k.mark(id.namespace, id.name)
				if was {
					want[id] = version{before.stamp, true}
				}
			case 4:
				if m, found := k.get(id.namespace, id.name); found != was || m&^marked != before.stamp {
					rt.Fatalf("%v: %x %v, want %x %v", id, m, found, before.stamp, was)
				}
			default:
				k.unmark()
				for id, v := range want {
					want[id] = version{v.stamp, false}
				}
			}
			if k.count() != len(want) {
				rt.Fatalf("%d objects, want %d", k.count(), len(want))
			}
		}
		maps.DeleteFunc(want, func(_ identity, v version) bool { return v.seen })
		compare := func(a, b identity) int {
			return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
		}
		got := slices.SortedFunc(slices.Values(k.unmarked()), compare)
		if !slices.Equal(got, slices.SortedFunc(maps.Keys(want), compare)) {
			rt.Fatalf("not seen: %v, want %v", got, want)
		}
		for _, id := range got {
			k.remove(id.namespace, id.name)
		}
		k.unmark()
		for _, id := range k.unmarked() {
			k.remove(id.namespace, id.name)
		}
		if k.count()+k.heads.Len()+k.entries.Len() != 0 {
			rt.Fatal("something is left of nothing")
		}
	})
}
