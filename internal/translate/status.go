package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// KindState is a kind of object, as in keys, and a state that some are in.
type KindState struct {
	Kind  string
	State State
}

// stateOf judges the state of an object; it is 0 for one that is gone. acts says
// that its version in force, if it is valid, is in the model or acts through others.
// What fails closed leaves the present version in force.
func stateOf(present, valid, acts bool, findings []store.Finding) State {
	open := slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note && !f.Closed })
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

// status returns the object's status.
func (o *object) status() Status {
	s := Status{Key: o.key}
	if tr := o.trouble; tr != nil {
		s.Findings = slices.Concat(tr.rejected, tr.invalid, tr.unjoined)
	}
	acts := o.out != nil
	switch m := o.means.(type) {
	case elsewhere, *policy.Node, *serviceObject, *endpointSlice:
		acts = true
	case *endpoint:
		acts = m.template
	}
	s.State = stateOf(o.present, o.valid, acts, s.Findings)
	return s
}

// report returns out a status if it is not what it was, and counts it.
func (t *Translator) report(before Status) {
	now := t.Status(before.Key)
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

func (t *Translator) count(k KindState, d int) {
	if k.State == 0 {
		return
	}
	if t.counts[k] += d; t.counts[k] == 0 {
		delete(t.counts, k)
	}
}

// Status returns the status of one object; State 0 for one that the source does not have.
func (t *Translator) Status(key policy.Key) Status {
	if isRecorded(key.Kind) {
		s, _ := t.recordStatus(key)
		return s
	}
	if o := t.objects[key]; o != nil {
		return o.status()
	}
	return Status{Key: key}
}

// Statuses returns the status of every object of the source, sorted by key: a long
// list, of which an agent needs Counts and Invalid only.
func (t *Translator) Statuses() []Status {
	var out []Status
	add := func(s Status) {
		if s.State != 0 {
			out = append(out, s)
		}
	}
	for _, o := range t.objects {
		add(o.status())
	}
	t.endpoints.each(func(_ uint32, r *record) { add(t.Status(t.endpoints.key(r))) })
	for key := range t.troubles {
		if t.record(key) == 0 {
			add(t.Status(key))
		}
	}
	sortStatuses(out)
	return out
}

// Invalid returns the statuses of the objects that are not in force as their
// source has them (LastValid, NotInForce), or of which a part fails closed (InForce,
// with findings), sorted by key.
func (t *Translator) Invalid() []Status {
	out := make([]Status, 0, len(t.invalid))
	for key := range t.invalid {
		out = append(out, t.Status(key))
	}
	sortStatuses(out)
	return out
}

// Counts returns the numbers of the source's objects by kind and state, in a map
// of the caller's. It costs no walk over the objects.
func (t *Translator) Counts() map[KindState]int { return maps.Clone(t.counts) }

func sortStatuses(list []Status) {
	slices.SortFunc(list, func(a, b Status) int { return a.Key.Compare(b.Key) })
}

// byKey sorts findings of the store to the objects that they are about, without
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
