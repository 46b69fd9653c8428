package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// step is what is known while one step of the store is taken in.
type step struct {
	sink   Sink
	before map[*object]Status   // of objects that were touched, as they were
	dirty  map[*object]struct{} // objects to be joined again
	held   map[policy.Key]*held // endpoints that the step deletes and gives again
	large  bool                 // its maps have grown

	// What endpoints depend on, and has changed: these are given out at the end.
	namespaces map[*namespace]struct{}
	accounts   map[accountKey]struct{}
	owners     map[uint32]struct{}     // controllers
	workloads  map[*namespace]struct{} // in which workloads changed

	labels map[joinKey]selector.Labels // joined so far
}

// held is an endpoint that is deleted and given again.
type held struct {
	before Status
	out    bool // it was in the model
}

func newStep(sink Sink) step {
	return step{
		sink: sink, before: map[*object]Status{}, dirty: map[*object]struct{}{}, held: map[policy.Key]*held{},
		namespaces: map[*namespace]struct{}{}, accounts: map[accountKey]struct{}{},
		owners: map[uint32]struct{}{}, workloads: map[*namespace]struct{}{},
		labels: map[joinKey]selector.Labels{},
	}
}

func (s *step) change(c policy.Change) {
	if s.sink.Change != nil {
		s.sink.Change(c)
	}
}

// gone returns out that an endpoint is no more, unless the step gives it again.
func (s *step) gone(key policy.Key) {
	if h := s.held[key]; h != nil {
		h.out = true
		return
	}
	s.change(policy.Change{Key: key})
}

// wasOut reports whether an endpoint was in the model that the step has deleted.
func (s *step) wasOut(key policy.Key) bool {
	h := s.held[key]
	return h != nil && h.out
}

// forgetLabels forgets the labels joined so far.
func (s *step) forgetLabels() { s.labels = map[joinKey]selector.Labels{} }

// end forgets the step. Maps that were large once are slow to go through when
// they are empty: then there are new ones.
func (s *step) end() {
	if s.large {
		*s = newStep(Sink{})
		return
	}
	s.sink = Sink{}
	clear(s.before)
	clear(s.dirty)
	clear(s.held)
	clear(s.namespaces)
	clear(s.accounts)
	clear(s.owners)
	clear(s.workloads)
	clear(s.labels)
}

// settlesLater reports whether an endpoint is given out at the end of the step,
// with all that depend on the same.
func (t *Translator) settlesLater(r *record) bool {
	s := &t.step
	if len(s.namespaces)+len(s.accounts)+len(s.owners) == 0 {
		return false
	}
	n := t.endpoints.namespaces[r.namespace]
	if _, found := s.namespaces[n]; found {
		return true
	}
	if _, found := s.owners[r.controller]; found {
		return true
	}
	if len(s.accounts) == 0 {
		return false
	}
	account := t.endpoints.words.At(headOf(t.endpoints.shapes.At(r.shape)).account)
	_, found := s.accounts[accountKey{n, account}]
	return found
}

// settle returns out the endpoints that depend on what changed.
func (t *Translator) settle() {
	s := &t.step
	affected := maps.Clone(s.namespaces)
	for account := range s.accounts {
		affected[account.namespace] = struct{}{}
	}
	for controller := range s.owners {
		if c := t.endpoints.controllers.at(controller); c.refs > 0 {
			affected[t.endpoints.namespaces[c.namespace]] = struct{}{}
		}
	}
	maps.DeleteFunc(affected, func(n *namespace, _ struct{}) bool { return n.endpoints == 0 })
	if len(affected) == 0 {
		return
	}
	// A list of each namespace's endpoints would take more memory than it is
	// worth: to look at all of a hundred thousand records takes less than a millisecond.
	t.endpoints.each(func(id uint32, r *record) {
		if r.governed() && t.settlesLater(r) {
			s.change(policy.Change{Key: t.endpoints.key(r), Object: t.endpoint(id)})
		}
	})
}

// touched notes the status of an object before the step changes it.
func (t *Translator) touched(o *object) {
	if _, found := t.step.before[o]; !found {
		t.step.before[o] = o.status()
	}
}

// touch returns what is known of a key, to be changed.
func (t *Translator) touch(key policy.Key) *object {
	o := t.object(key)
	t.touched(o)
	return o
}

// takeDirty takes the tiers, or all the others, from what is to be joined.
func (t *Translator) takeDirty(tiers bool) []*object {
	var out []*object
	for o := range t.step.dirty {
		if (o.key.Kind == policy.KindTier) == tiers {
			out = append(out, o)
			delete(t.step.dirty, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int { return a.key.Compare(b.key) })
	return out
}
