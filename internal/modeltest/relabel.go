package modeltest

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// relabel returns all objects of a namespace what labels it has in the universe.
func relabel(u *universe, m *policy.Model, namespace string) []policy.Change {
	var out []policy.Change
	for _, ep := range m.Endpoints {
		if ep.Key.Namespace == namespace {
			v := *ep
			v.Labels = withNamespace(ep.Labels, u.nsLabels[namespace])
			out = append(out, policy.Change{Key: v.Key, Object: &v})
		}
	}
	for _, s := range m.Sets {
		if s.Key.Namespace == namespace {
			v := *s
			v.Labels = withNamespace(s.Labels, u.nsLabels[namespace])
			out = append(out, policy.Change{Key: v.Key, Object: &v})
		}
	}
	return out
}

func withNamespace(ls selector.Labels, nsLabels map[string]string) selector.Labels {
	m := maps.Clone(nsLabels)
	for _, l := range ls {
		if !slices.Contains(nsKeys, l.Key) {
			m[l.Key] = l.Value
		}
	}
	return selector.NewLabels(m)
}

// again puts an object as it is: the same version, or a copy of it.
func again(t *rapid.T, m *policy.Model) []policy.Change {
	objects := Objects(m)
	keys := slices.SortedFunc(maps.Keys(objects), policy.Key.Compare)
	if len(keys) == 0 {
		return nil
	}
	key := one(t, keys, "object")
	if coin.Draw(t, "the same") {
		return []policy.Change{{Key: key, Object: objects[key]}}
	}
	return []policy.Change{{Key: key, Object: Copy(objects[key])}}
}

// Copy returns an object that equals the one given and shares nothing that a
// comparison of pointers could find, selectors and rules aside.
func Copy(o policy.Object) policy.Object {
	switch o := o.(type) {
	case *policy.Tier:
		v := *o
		return &v
	case *policy.Policy:
		v := *o
		v.Selector = selector.MustParse(o.Selector.String())
		for dir := range v.Rules {
			v.Rules[dir] = slices.Clone(o.Rules[dir])
		}
		return &v
	case *policy.Endpoint:
		v := *o
		v.Addrs, v.Labels, v.Ports = slices.Clone(o.Addrs), slices.Clone(o.Labels), slices.Clone(o.Ports)
		return &v
	case *policy.Set:
		v := *o
		v.Labels, v.Nets = slices.Clone(o.Labels), slices.Clone(o.Nets)
		return &v
	}
	return nil
}
