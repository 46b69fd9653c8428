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
			mark mark
			seen bool
		}
		k, want := newKnown(), map[identity]version{}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			id := identity{namespace: word.Draw(rt, "namespace"), name: word.Draw(rt, "head") + word.Draw(rt, "tail")}
			if id.name == "" {
				continue
			}
			before, was := want[id]
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				m := mark(rapid.Uint64().Draw(rt, "mark")) &^ seen
				if ns := k.set(id.namespace, id.name, m); ns != id.namespace {
					rt.Fatalf("the namespace of %v is %q", id, ns)
				}
				want[id] = version{m, true}
			case 2:
				if given := k.remove(id.namespace, id.name); given != (before.mark>>63 != 0) {
					rt.Fatalf("removed %v: given %v", id, given)
				}
				delete(want, id)
			case 3:
				k.see(id.namespace, id.name)
				if was {
					want[id] = version{before.mark, true}
				}
			case 4:
				if m, found := k.get(id.namespace, id.name); found != was || m&^seen != before.mark {
					rt.Fatalf("%v: %x %v, want %x %v", id, m, found, before.mark, was)
				}
			default:
				k.unsee()
				for id, v := range want {
					want[id] = version{v.mark, false}
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
		got := slices.SortedFunc(slices.Values(k.unseen()), compare)
		if !slices.Equal(got, slices.SortedFunc(maps.Keys(want), compare)) {
			rt.Fatalf("not seen: %v, want %v", got, want)
		}
		for _, id := range got {
			k.remove(id.namespace, id.name)
		}
		k.unsee()
		for _, id := range k.unseen() {
			k.remove(id.namespace, id.name)
		}
		if k.count()+k.heads.Len()+k.entries.Len() != 0 {
			rt.Fatal("something is left of nothing")
		}
	})
}
