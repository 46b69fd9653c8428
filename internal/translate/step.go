package translate

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// step is what is known while one step of the store is applied.
type step struct {
	sink    Sink
	before  map[*object]Status      // of objects that were touched, as they were
	dirty   map[*object]struct{}    // objects to be joined again
	readded map[policy.Key]*readded // endpoints that the step deletes and brings again
	large   bool                    // its maps have grown

	// What endpoints depend on, and has changed: they are emitted at the end.
	namespaces map[*namespace]struct{}
	accounts   map[accountKey]struct{}
	owners     map[uint32]struct{}     // controllers
	workloads  map[*namespace]struct{} // in which workloads changed

	cameOrWent map[string]struct{} // namespaces
	// namespaceProfiles are profiles of namespaces that somebody began or ceased to name.
	namespaceProfiles map[string]struct{}

	profiles map[string]bool // by name, that changed: whether their labels did
	// profileLists are lists of profiles with one that changed, or is missing: whether
	// labels changed.
	profileLists map[uint32]bool

	labels map[joinKey]selector.Labels // joined so far
}

// readded is an endpoint that the step deletes and brings again.
type readded struct {
	before     Status
	wasInModel bool // it was in the model
}

func newStep(sink Sink) step {
	return step{
		sink: sink, before: map[*object]Status{}, dirty: map[*object]struct{}{}, readded: map[policy.Key]*readded{},
		namespaces: map[*namespace]struct{}{}, accounts: map[accountKey]struct{}{},
		owners: map[uint32]struct{}{}, workloads: map[*namespace]struct{}{},
		cameOrWent: map[string]struct{}{}, namespaceProfiles: map[string]struct{}{},
		profiles: map[string]bool{}, profileLists: map[uint32]bool{},
		labels: map[joinKey]selector.Labels{},
	}
}

// change emits a change of the model.
func (s *step) change(c policy.Change) {
	if s.sink.Change != nil {
		s.sink.Change(c)
	}
}

// gone emits that an endpoint is no more, unless the step brings it again.
func (s *step) gone(key policy.Key) {
	if h := s.readded[key]; h != nil {
		h.wasInModel = true
		return
	}
	s.change(policy.Change{Key: key})
}

// wasInModel reports whether an endpoint was in the model that the step has deleted.
func (s *step) wasInModel(key policy.Key) bool {
	h := s.readded[key]
	return h != nil && h.wasInModel
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
	clear(s.readded)
	clear(s.namespaces)
	clear(s.accounts)
	clear(s.owners)
	clear(s.workloads)
	clear(s.cameOrWent)
	clear(s.namespaceProfiles)
	clear(s.profiles)
	clear(s.profileLists)
	clear(s.labels)
}

// touch notes the status of an object before the step changes it.
func (s *step) touch(o *object) {
	if _, found := s.before[o]; !found {
		s.before[o] = o.status()
	}
}

// drainDirty returns what is to be joined of the tiers, or of all the others, sorted; they
// are not marked any more.
func (s *step) drainDirty(tiers bool) []*object {
	var out []*object
	for o := range s.dirty {
		if (o.key.Kind == policy.KindTier) == tiers {
			out = append(out, o)
			delete(s.dirty, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int { return a.key.Compare(b.key) })
	return out
}
