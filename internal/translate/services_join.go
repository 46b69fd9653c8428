package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// replace brings the services to what an object of theirs says now.
func (t *serviceTable) replace(o *object, was, now any) {
	if s, ok := was.(*source.EndpointSlice); ok && s.Service.Name != "" {
		delete(t.touch(s.Service).slices, o.key.Name)
	}
	if s, ok := now.(*source.EndpointSlice); ok && s.Service.Name != "" {
		t.touch(s.Service).slices[o.key.Name] = s
	}
	if o.key.Kind == policy.KindService {
		t.touch(o.key).object, _ = now.(*source.Service)
	}
}

// use notes which services a policy refers to.
func (t *serviceTable) use(o *object, services []policy.Key) {
	use := t.uses[o]
	if use != nil {
		for _, key := range use.services {
			delete(t.touch(key).users, o)
		}
		if use.expanded != "" {
			t.policies.Release(use.expanded)
		}
		delete(t.uses, o)
	}
	if len(services) == 0 {
		return
	}
	for _, key := range services {
		t.touch(key).users[o] = struct{}{}
	}
	t.uses[o] = &serviceUse{services: services}
}

// recompute brings the sets of services that changed to what they now are,
// and marks the policies whose rules are others because of that.
func (t *serviceTable) recompute() {
	byKey := func(a, b *service) int { return a.key.Compare(b.key) }
	for _, s := range slices.SortedFunc(maps.Keys(t.dirty), byKey) {
		var groups []endpointGroup
		var sets []*policy.Set
		if len(s.users) > 0 {
			endpoints := s.endpoints()
			groups = groupByPorts(endpoints, s.declared())
			sets = s.setsOf(endpoints, groups)
		}
		samePorts := slices.EqualFunc(groups, s.groups, func(a, b endpointGroup) bool { return slices.Equal(a.ports, b.ports) })
		if exists := s.isThere(); !samePorts || exists != s.exists {
			s.exists = exists
			for o := range s.users {
				t.step.dirty[o] = struct{}{}
			}
		}
		for i := range groups {
			groups[i].addrs = nil // they are in the sets
		}
		s.groups = groups
		t.replaceSets(s.sets, sets)
		s.sets = sets
		if len(s.users) == 0 && !s.isThere() {
			delete(t.byKey, s.key)
		}
	}
	clear(t.dirty)
}

// replaceSets emits what is not as it was.
func (t *serviceTable) replaceSets(was, now []*policy.Set) {
	before := map[policy.Key]*policy.Set{}
	for _, s := range was {
		before[s.Key] = s
	}
	for _, s := range now {
		old := before[s.Key]
		delete(before, s.Key)
		if old == nil || !slices.Equal(old.Nets, s.Nets) {
			t.step.change(policy.Change{Key: s.Key, Object: s})
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(before), policy.Key.Compare) {
		t.step.change(policy.Change{Key: key})
	}
}

// expanded returns a policy with the rules that its services come to, and notes
// which of these there are not.
func (t *serviceTable) expanded(o *object, packed compact.Packed) compact.Packed {
	use := t.uses[o]
	if use == nil {
		return packed
	}
	o.setErrors(func(e *objectErrors) { e.unjoined = t.missing(o, use.services) })
	expanded := t.policies.Pack(t.expand(t.policies.Unpack(packed)))
	if use.expanded != "" {
		t.policies.Release(use.expanded)
	}
	use.expanded = expanded
	return expanded
}

// missing says which of the services that a policy refers to there are not.
func (t *serviceTable) missing(o *object, keys []policy.Key) []store.Finding {
	var out []store.Finding
	for _, key := range keys {
		if s := t.byKey[key]; s != nil && s.isThere() {
			continue
		}
		r := store.Resource{Key: o.key, Origin: o.origin}
		f := r.At("", "refers to service %s/%s, which does not exist, so that what refers to it matches nothing%s",
			key.Namespace, key.Name, suggest.DidYouMean(key.Name, t.namesIn(key.Namespace)))
		f.Note, f.About = true, key
		out = append(out, f)
	}
	return out
}

// eachSet visits the sets of services in the model.
func (t *serviceTable) eachSet(visit func(*policy.Set)) {
	for _, key := range slices.SortedFunc(maps.Keys(t.byKey), policy.Key.Compare) {
		for _, set := range t.byKey[key].sets {
			visit(set)
		}
	}
}
