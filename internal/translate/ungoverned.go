package translate

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Reason says why policy has no say on a pod or workload, as the end of a
// sentence: "it uses its node's network".
type Reason string

// The reasons. A Deployment's old ReplicaSets are scaled down.
const (
	HostNetwork Reason = "uses its node's network"
	Ended       Reason = "has ended"
	ScaledDown  Reason = "is scaled to zero"
)

// Ungoverned is a pod or workload that is no endpoint, since policy has no say
// on it.
type Ungoverned struct {
	Key    policy.Key
	Owner  policy.Key // the workload that it belongs to; zero if none
	Reason Reason
}

// Ungoverned returns the pods and workloads that are no endpoints, sorted by key.
func (t *Translator) Ungoverned() []Ungoverned {
	var out []Ungoverned
	for _, o := range t.objects {
		if e, ok := o.means.(*endpoint); ok && e.none != "" {
			u := Ungoverned{Key: o.key, Reason: e.none}
			if e.controller != (policy.Key{}) {
				u.Owner = t.owner(e.controller, e.hash)
			}
			out = append(out, u)
		}
	}
	t.endpoints.each(func(_ uint32, r *record) {
		if !r.governed() {
			out = append(out, Ungoverned{Key: t.endpoints.key(r), Owner: t.endpoints.ownerKey(r.controller), Reason: r.reason()})
		}
	})
	slices.SortFunc(out, func(a, b Ungoverned) int { return a.Key.Compare(b.Key) })
	return out
}

// originOf returns the place of an object; offline only for pods.
func (t *Translator) originOf(key policy.Key) store.Origin {
	if o := t.objects[key]; o != nil {
		return o.origin
	}
	return t.endpoints.origins[t.record(key)]
}

// ungovernedNotes counts what is ungoverned, by the reason. What is scaled to
// zero holds nothing that a user could miss.
func (t *Translator) ungovernedNotes(list []Ungoverned) []store.Finding {
	var out []store.Finding
	for _, reason := range []Reason{HostNetwork, Ended} {
		var first policy.Key
		n := 0
		for _, u := range list {
			if u.Reason != reason {
				continue
			}
			if n == 0 {
				first = u.Key
			}
			n++
		}
		if n == 0 {
			continue
		}
		r := store.Resource{Key: first, Origin: t.originOf(first)}
		note := r.At("", "%s, so policy has no say on it", reason)
		if n > 1 {
			note.Message += fmt.Sprintf("; the same holds of %d more", n-1)
		}
		note.Note = true
		out = append(out, note)
	}
	return out
}
