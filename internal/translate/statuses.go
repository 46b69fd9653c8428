package translate

import (
	"maps"

	"github.com/tierwall/tierwall/policy"
)

// Status returns the status of one object; State 0 for one that the source does not have.
func (t *Translator) Status(key policy.Key) Status {
	if isRecorded(key.Kind) {
		s, _ := t.endpoints.status(key)
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
	for key := range t.endpoints.errors {
		if t.endpoints.record(key) == 0 {
			add(t.Status(key))
		}
	}
	sortStatuses(out)
	return out
}

// Invalid returns the statuses of the objects that are not in force as their
// source has them (LastValid, NotInForce, Isolates), or of which a part fails closed (InForce,
// with findings), sorted by key.
func (t *Translator) Invalid() []Status {
	out := make([]Status, 0, len(t.statuses.invalid))
	for key := range t.statuses.invalid {
		out = append(out, t.Status(key))
	}
	sortStatuses(out)
	return out
}

// Counts returns the numbers of the source's objects by kind and state, in a map
// of the caller's. It costs no walk over the objects.
func (t *Translator) Counts() map[KindState]int { return maps.Clone(t.statuses.counts) }
