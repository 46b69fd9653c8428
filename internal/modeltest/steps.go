package modeltest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

// Objects returns all objects of a model by key. Nodes are none.
func Objects(m *policy.Model) map[policy.Key]policy.Object {
	out := make(map[policy.Key]policy.Object)
	for _, o := range m.Tiers {
		out[o.ObjectKey()] = o
	}
	for _, o := range m.Policies {
		out[o.ObjectKey()] = o
	}
	for _, o := range m.Endpoints {
		out[o.ObjectKey()] = o
	}
	for _, o := range m.Sets {
		out[o.ObjectKey()] = o
	}
	return out
}

// Changes returns the changes that lead from one model to another, sorted by kind
// and key. An object that both hold, the very same, does not change. A nil
// model is empty.
func Changes(from, to *policy.Model) []policy.Change {
	if from == nil {
		from = &policy.Model{}
	}
	if to == nil {
		to = &policy.Model{}
	}
	before, after := Objects(from), Objects(to)
	var out []policy.Change
	for k, o := range after {
		if before[k] != o {
			out = append(out, policy.Change{Key: k, Object: o})
		}
	}
	for k := range before {
		if after[k] == nil {
			out = append(out, policy.Change{Key: k})
		}
	}
	slices.SortFunc(out, func(a, b policy.Change) int { return a.Key.Compare(b.Key) })
	return out
}

// Apply returns the model after the changes. The model given stays as it is.
func Apply(m *policy.Model, changes ...policy.Change) *policy.Model {
	objects := Objects(m)
	for _, c := range changes {
		if c.Object == nil {
			delete(objects, c.Key)
		} else {
			objects[c.Key] = c.Object
		}
	}
	out := &policy.Model{Nodes: m.Nodes, Host: m.Host}
	for _, k := range slices.SortedFunc(maps.Keys(objects), policy.Key.Compare) {
		switch o := objects[k].(type) {
		case *policy.Tier:
			out.Tiers = append(out.Tiers, o)
		case *policy.Policy:
			out.Policies = append(out.Policies, o)
		case *policy.Endpoint:
			out.Endpoints = append(out.Endpoints, o)
		case *policy.Set:
			out.Sets = append(out.Sets, o)
		}
	}
	return out
}

// Steps draws lists of changes to a model, each list one step: objects that
// come, go, change in one field or altogether, a namespace's labels that change
// on all its objects, objects that are put again as they are.
func Steps(m *policy.Model) *rapid.Generator[[][]policy.Change] {
	return rapid.Custom(func(t *rapid.T) [][]policy.Change {
		now := m
		var steps [][]policy.Change
		for range upTo(t, 1, 8, "steps") {
			var step []policy.Change
			for range upTo(t, 1, 3, "changes") {
				changes := drawChanges(t, now)
				step = append(step, changes...)
				now = Apply(now, changes...)
			}
			steps = append(steps, step)
		}
		return steps
	})
}

func drawChanges(t *rapid.T, m *policy.Model) []policy.Change {
	u := &universe{nsLabels: namespaceLabels(t)}
	switch below(t, 11, "change") {
	case 0:
		name := one(t, tierNames, "tier")
		key := policy.Key{Kind: policy.KindTier, Name: name}
		if tier := u.tier(t, name); tier != nil {
			return []policy.Change{{Key: key, Object: tier}}
		}
		return []policy.Change{{Key: key}}
	case 1, 2:
		key := one(t, policyKeys, "policy")
		return put(t, key, u.policy(t, key))
	case 3, 4:
		key := one(t, endpointKeys, "endpoint")
		return put(t, key, u.endpoint(t, key))
	case 5:
		key := one(t, setKeys, "set")
		return put(t, key, u.set(t, key))
	case 6, 7:
		return vary(t, u, m)
	case 8:
		key := policy.ProfileKey(one(t, profileNames, "profile"))
		return put(t, key, drawProfile(t, key))
	case 9:
		return relabel(u, m, one(t, namespaces, "namespace"))
	}
	return again(t, m)
}

func (u *universe) policyOrProfile(t *rapid.T, key policy.Key) *policy.Policy {
	if key.Kind == policy.KindProfile {
		return drawProfile(t, key)
	}
	return u.policy(t, key)
}

// put changes an object to its new version, or deletes it.
func put(t *rapid.T, key policy.Key, o policy.Object) []policy.Change {
	if chance(t, 30, "delete") {
		return []policy.Change{{Key: key}}
	}
	return []policy.Change{{Key: key, Object: o}}
}

// vary changes one field of one object.
func vary(t *rapid.T, u *universe, m *policy.Model) []policy.Change {
	keys := slices.SortedFunc(maps.Keys(Objects(m)), policy.Key.Compare)
	if len(keys) == 0 {
		return nil
	}
	key := one(t, keys, "object")
	switch o := Objects(m)[key].(type) {
	case *policy.Tier:
		v := *o
		v.Order = one(t, orders, "order")
		return []policy.Change{{Key: key, Object: &v}}
	case *policy.Policy:
		v, other := *o, u.policyOrProfile(t, key)
		switch below(t, 6, "field") {
		case 0:
			v.Order = other.Order
		case 1:
			v.Tier = other.Tier
		case 2:
			v.Selector = other.Selector
		case 3:
			v.Types = other.Types
		case 4:
			v.Rules[policy.Egress] = other.Rules[policy.Egress]
		case 5:
			v.Rules[policy.Ingress] = append(slices.Clone(v.Rules[policy.Ingress]), other.Rules[policy.Ingress]...)
		}
		return []policy.Change{{Key: key, Object: &v}}
	case *policy.Endpoint:
		v, other := *o, u.endpoint(t, key)
		switch below(t, 7, "field") {
		case 0:
			v.Addrs = other.Addrs
		case 1:
			v.Labels = other.Labels
		case 2:
			v.Ports = other.Ports
		case 3:
			v.Profiles = other.Profiles
		case 4:
			v.Interface = other.Interface
		case 5:
			v.Node = other.Node
		case 6:
			v.Precedence = other.Precedence
		}
		return []policy.Change{{Key: key, Object: &v}}
	case *policy.Set:
		v, other := *o, u.set(t, key)
		if coin.Draw(t, "nets") {
			v.Nets = other.Nets
		} else {
			v.Labels = other.Labels
		}
		return []policy.Change{{Key: key, Object: &v}}
	}
	return nil
}
