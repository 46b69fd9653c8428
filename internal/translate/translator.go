package translate

import (
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
)

// Translator holds what the current objects of a source mean, and keeps the model
// that they make. It works in two steps. An object is first parsed on its own,
// which finds all that is wrong with it. Then it is joined with those it depends
// on: an endpoint with the labels of its namespace, service account and profiles, a
// policy with its tier. When one of those changes, only the second step is repeated,
// for what depends on it.
//
// Of the objects themselves nothing is kept. Pods, of which a cluster has very
// many, are kept as records of a few numbers (endpoints.go), policies packed;
// their objects in the model are made when they are asked for.
//
// Each of its tables owns what it holds. A table knows the step, in which it notes what
// has to be joined again, and at most tables that are made before it.
//
// A Translator is not safe for concurrent use.
type Translator struct {
	opts Options
	step *step // the present one

	objects    objectTable
	policies   *compact.Policies
	statuses   *statusTable
	tiers      tierIndex
	hosts      hostIndex
	nodes      nodeTable
	rules      ruleSets // what rules refer to that is no object
	services   serviceTable
	namespaces *namespaceTable
	profiles   *profileIndex
	endpoints  *endpointTable

	rejected map[policy.Key]struct{} // objects of all kinds with findings of the store
}

// New makes a translator without any objects. Its model holds the fixed tiers.
func New(opts Options) *Translator {
	s := newStep(Sink{})
	t := &Translator{
		opts: opts, step: &s,
		objects:    objectTable{},
		policies:   compact.NewPolicies(),
		statuses:   newStatusTable(&s),
		tiers:      newTierIndex(&s),
		hosts:      newHostIndex(&s),
		nodes:      newNodeTable(),
		rules:      newRuleSets(),
		namespaces: newNamespaceTable(&s),
		rejected:   map[policy.Key]struct{}{},
	}
	t.profiles = newProfileIndex(&s, t.namespaces)
	t.services = newServiceTable(&s, t.policies)
	t.endpoints = newEndpointTable(opts.Offline, &s, t.objects, t.namespaces, t.profiles, t.statuses)
	for _, tier := range policy.FixedTiers() {
		o := t.object(tier.ObjectKey())
		o.fixed = true
		t.step.dirty[o] = struct{}{}
	}
	return t
}

// object returns what is known of a key, making it if it is new.
func (t *Translator) object(key policy.Key) *object {
	o := t.objects[key]
	if o == nil {
		o = &object{key: key}
		t.objects[key] = o
		switch key.Kind {
		case policy.KindTier:
			t.tiers.byName[key.Name] = o
		case policy.KindProfile:
			t.profiles.byName[key.Name] = o
		}
	}
	return o
}

// setPresent notes whether the source has an object.
func (t *Translator) setPresent(o *object, present bool) {
	if was := o.present; was != present && o.key.Namespace != "" {
		d := 1
		if was {
			d = -1
		}
		t.namespaces.count(o.key.Namespace, objectsIn, d)
	}
	o.present = present
}

// touch returns what is known of a key, to be changed.
func (t *Translator) touch(key policy.Key) *object {
	o := t.object(key)
	t.step.touch(o)
	return o
}

// forget removes an object that is gone.
func (t *Translator) forget(o *object) {
	delete(t.objects, o.key)
	switch o.key.Kind {
	case policy.KindTier:
		delete(t.tiers.byName, o.key.Name)
	case policy.KindProfile:
		delete(t.profiles.byName, o.key.Name)
	}
}
