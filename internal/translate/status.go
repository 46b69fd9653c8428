package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// KindState is a kind of object, as in keys, and a state that some are in.
type KindState struct {
	Kind  string
	State State
}

// stateOf returns the state of an object; 0 for one that is gone. acts says
// that its version in force, if it is valid, is in the model or acts through others.
// What fails closed leaves the present version in force.
func stateOf(present, valid, acts bool, findings []store.Finding) State {
	open := slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note && !f.FailClosed })
	switch {
	case !present:
		return 0
	case acts && valid && open:
		return LastValid
	case acts && valid:
		return InForce
	case isWrong(findings):
		return NotInForce
	}
	return NotEnforced
}

// isWrong reports whether one of the findings is no note.
func isWrong(findings []store.Finding) bool {
	return slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note })
}

// IsWrong reports whether something is wrong with the object, be it in force or not.
func (s *Status) IsWrong() bool { return isWrong(s.Findings) }

// statusTable counts the objects by state, and knows those with something wrong.
type statusTable struct {
	step    *step
	invalid map[policy.Key]struct{} // not in force as the source has them
	counts  map[KindState]int
}

func newStatusTable(s *step) *statusTable {
	return &statusTable{step: s, invalid: map[policy.Key]struct{}{}, counts: map[KindState]int{}}
}

// report emits a status if it is not what it was, and counts it.
func (t *statusTable) report(before, now Status) {
	if now.State == before.State && slices.Equal(now.Findings, before.Findings) {
		return
	}
	if before.State != now.State {
		t.count(KindState{now.Key.Kind, before.State}, -1)
		t.count(KindState{now.Key.Kind, now.State}, 1)
	}
	if now.IsWrong() {
		t.invalid[now.Key] = struct{}{}
	} else {
		delete(t.invalid, now.Key)
	}
	if t.step.sink.Status != nil {
		t.step.sink.Status(now)
	}
}

func (t *statusTable) count(k KindState, d int) {
	if k.State == 0 {
		return
	}
	if t.counts[k] += d; t.counts[k] == 0 {
		delete(t.counts, k)
	}
}

func sortStatuses(list []Status) {
	slices.SortFunc(list, func(a, b Status) int { return a.Key.Compare(b.Key) })
}

// findingsByKey sorts findings of the store by the objects that they are about, without
// notes and what is about files.
func findingsByKey(findings []store.Finding) map[policy.Key][]store.Finding {
	var out map[policy.Key][]store.Finding
	for _, f := range findings {
		if !f.Note && f.Key != (policy.Key{}) {
			if out == nil {
				out = map[policy.Key][]store.Finding{}
			}
			out[f.Key] = append(out[f.Key], f)
		}
	}
	return out
}
