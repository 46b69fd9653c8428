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

// Ungoverned gives the pods and workloads that are no endpoints, sorted by key.
func (t *Translator) Ungoverned() []Ungoverned {
	var out []Ungoverned
	for _, o := range t.objects {
		if e := o.parsed.endpoint; e != nil && e.none != "" {
			out = append(out, Ungoverned{Key: o.key, Owner: t.owner(e), Reason: e.none})
		}
	}
	slices.SortFunc(out, func(a, b Ungoverned) int { return a.Key.Compare(b.Key) })
	return out
}

// ungovernedNotes counts what is ungoverned, by the reason. What is scaled to
// zero holds nothing that a user could miss.
func (t *Translator) ungovernedNotes(list []Ungoverned) []store.Finding {
	var out []store.Finding
	for _, reason := range []Reason{HostNetwork, Ended} {
		var first *object
		n := 0
		for _, u := range list {
			if u.Reason != reason {
				continue
			}
			if first == nil {
				first = t.objects[u.Key]
			}
			n++
		}
		if first == nil {
			continue
		}
		r := store.Resource{Key: first.key, Origin: first.origin}
		note := r.At("", "%s, so policy has no say on it", reason)
		if n > 1 {
			note.Message += fmt.Sprintf("; the same holds of %d more", n-1)
		}
		note.Note = true
		out = append(out, note)
	}
	return out
}
