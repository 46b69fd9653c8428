package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// The profile of a namespace is there with the namespace, and allows everything. Whoever is in
// the namespace has it without more ado ([policy.Endpoint.AllowedBy]). For those elsewhere that
// name it the model has it as a profile like any other.
//
// A namespace may come by a pod, and pods are taken in at the end of a step. So the namespaces
// of pods that come are made before anything is joined: from then on, until the end of the
// step, none comes or goes.

// namespaceProfiles are the profiles of namespaces that may have to be in the model.
type namespaceProfiles struct {
	named   map[string]int // how many lists of endpoints, and host endpoints, have the name
	inModel map[string]struct{}
}

// nameNamespace notes that a list of profiles has a name, or (-1) has it no more.
func (t *profileIndex) nameNamespace(name string, d int) {
	if _, is := policy.NamespaceOfProfile(name); !is {
		return
	}
	named := t.ofNamespaces.named
	if named[name] += d; named[name] == 0 {
		delete(named, name)
	}
	t.step.namespaceProfiles[name] = struct{}{}
}

// noteNamespaces marks those who name the profile of a namespace that came, went or has other
// labels; and those who name one that is missing, since their findings may name this one.
func (t *profileIndex) noteNamespaces() {
	changed := maps.Clone(t.step.cameOrWent)
	for n := range t.step.namespaces {
		changed[n.name] = struct{}{}
	}
	for namespace := range changed {
		name := policy.NamespaceProfile(namespace)
		t.touch(name, t.ofNamespaces.named[name] > 0)
	}
}

// recomputeOfNamespaces brings the profiles of namespaces into the model that somebody names.
func (t *profileIndex) recomputeOfNamespaces() {
	names := maps.Clone(t.step.namespaceProfiles)
	for namespace := range t.step.cameOrWent {
		names[policy.NamespaceProfile(namespace)] = struct{}{}
	}
	for name := range names {
		namespace, _ := policy.NamespaceOfProfile(name)
		needed := t.ofNamespaces.named[name] > 0 && t.namespaces.exists(namespace)
		switch _, is := t.ofNamespaces.inModel[name]; {
		case needed && !is:
			t.ofNamespaces.inModel[name] = struct{}{}
			t.step.change(policy.Change{Key: policy.ProfileKey(name), Object: allowAll(name)})
		case !needed && is:
			delete(t.ofNamespaces.inModel, name)
			t.step.change(policy.Change{Key: policy.ProfileKey(name)})
		}
	}
}

// each visits the profiles of namespaces that are in the model, sorted by name.
func (p *namespaceProfiles) each(visit func(*policy.Policy)) {
	for _, name := range slices.Sorted(maps.Keys(p.inModel)) {
		visit(allowAll(name))
	}
}

// allowAll returns a profile that allows everything.
func allowAll(name string) *policy.Policy {
	p := &policy.Policy{Key: policy.ProfileKey(name), Selector: selector.Not(selector.All()), Types: [2]bool{true, true}}
	for dir := range p.Rules {
		p.Rules[dir] = []policy.Rule{{Action: policy.Allow}}
	}
	return p
}

// makeNamespaces has the namespaces of pods and WorkloadEndpoints that come be there before
// these are.
func (t *endpointTable) makeNamespaces(updated []store.Resource) {
	last := ""
	for i := range updated {
		if key := &updated[i].Key; isRecorded(key.Kind) && key.Namespace != last {
			t.namespaces.get(key.Namespace)
			last = key.Namespace
		}
	}
}
