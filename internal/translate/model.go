package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// Each returns the whole model as changes from nothing, as Model has it but without
// nodes and, for an analysis, placeholders: tiers, policies, sets and endpoints, each
// kind in the order of keys but for endpoints, which come in none, and the profiles of
// namespaces, which come after the objects. No list of them is made.
func (t *Translator) Each(yield func(policy.Change)) {
	t.eachObject(func(o *object) {
		if out := t.modelObject(o.compiled); out != nil {
			yield(policy.Change{Key: o.key, Object: out})
		}
	})
	t.profiles.ofNamespaces.each(func(p *policy.Policy) { yield(policy.Change{Key: p.Key, Object: p}) })
	t.services.eachSet(func(s *policy.Set) { yield(policy.Change{Key: s.Key, Object: s}) })
	t.rules.each(func(s *policy.Set) { yield(policy.Change{Key: s.Key, Object: s}) })
	t.endpoints.each(func(id uint32, r *record) {
		if r.managed() {
			yield(policy.Change{Key: t.endpoints.key(r), Object: t.endpoints.endpoint(id)})
		}
	})
	t.step.forgetLabels()
}

// eachObject visits all objects: tiers, then what has a place in the model by
// itself, then the others; each kind in the order of keys.
func (t *Translator) eachObject(visit func(o *object)) {
	rank := func(o *object) int {
		switch o.compiled.(type) {
		case *policy.Tier:
			return 0
		case compact.Packed:
			return 1
		case *policy.Set:
			return 2
		}
		return 3
	}
	for _, o := range slices.SortedFunc(maps.Values(t.objects), func(a, b *object) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return a.key.Compare(b.key)
	}) {
		visit(o)
	}
}

// Model returns the whole model, sorted by key. It makes it anew each time, for an
// analysis or a test: what follows a cluster uses changes, and Each.
func (t *Translator) Model() *policy.Model {
	m := &policy.Model{}
	t.Each(func(c policy.Change) {
		switch out := c.Object.(type) {
		case *policy.Tier:
			m.Tiers = append(m.Tiers, out)
		case *policy.Policy:
			m.Policies = append(m.Policies, out)
		case *policy.Set:
			m.Sets = append(m.Sets, out)
		case *policy.Endpoint:
			m.Endpoints = append(m.Endpoints, out)
		}
	})
	m.Nodes = t.Nodes()
	if t.opts.Offline {
		m.Endpoints = append(m.Endpoints, t.representatives()...)
	}
	slices.SortFunc(m.Policies, func(a, b *policy.Policy) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(m.Sets, func(a, b *policy.Set) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(m.Endpoints, func(a, b *policy.Endpoint) int { return a.Key.Compare(b.Key) })
	if t.opts.Offline {
		givePlaceholders(m, t.Staged(), t.opts.PlaceholderIPv6)
		t.services.derive(m)
	}
	return m
}

// Nodes returns the nodes that there are, sorted by name; offline also those that only
// pods tell of.
func (t *Translator) Nodes() []*policy.Node {
	nodes := nodeSet{}
	t.eachObject(func(o *object) {
		switch m := o.parsed.(type) {
		case *policy.Node:
			nodes.add(m.Name, m.Addrs)
		case *source.HostEndpoint:
			nodes.add(m.Node, m.Addrs)
		case *source.Endpoint:
			if t.opts.Offline {
				nodes.add(m.Node, m.HostAddrs)
			}
		}
	})
	if t.opts.Offline {
		t.endpoints.each(func(id uint32, r *record) { nodes.add(t.endpoints.words.At(r.node), t.endpoints.hostAddrs[id]) })
	}
	return nodes.sorted()
}

// impliedNodes returns what returns the nodes that only other objects tell of; nil where
// these do not count.
func (t *Translator) impliedNodes() func() []*policy.Node {
	if !t.opts.Offline {
		return nil
	}
	return t.Nodes
}

// representatives returns the one endpoint of each workload that stands for its
// pods. A workload whose pods are there needs none, and neither does one that
// another workload manages: its pods are that one's.
func (t *Translator) representatives() []*policy.Endpoint {
	hasPods := map[policy.Key]bool{}
	t.endpoints.each(func(_ uint32, r *record) {
		if r.managed() && r.controller != 0 {
			hasPods[t.endpoints.ownerKey(r.controller)] = true
			hasPods[t.endpoints.controllerKey(r.controller)] = true
		}
	})
	var out []*policy.Endpoint
	for _, o := range t.objects {
		e, ok := o.parsed.(*source.Endpoint)
		if !ok || e.Unmanaged != "" || hasPods[o.key] {
			continue
		}
		ep := t.representative(o.key, e)
		if _, managed := t.objects.controllerOf(ep.Owner); managed || hasPods[ep.Owner] {
			continue
		}
		out = append(out, ep)
	}
	return out
}

// representative makes the endpoint that stands for the pods of a workload.
func (t *Translator) representative(key policy.Key, e *source.Endpoint) *policy.Endpoint {
	n := t.namespaces.byName[key.Namespace]
	ep := &policy.Endpoint{
		Key: key, Node: e.Node, Interface: e.Interface, Addrs: e.Addrs, Ports: e.Ports, Profiles: e.Profiles,
		Labels: t.namespaces.labelsOf(n, e.ServiceAccount, e.Orchestrator, e.Labels),
	}
	if e.Controller != (policy.Key{}) {
		ep.Owner = t.objects.owner(e.Controller, e.TemplateHash)
	}
	return ep
}

// Staged returns the valid staged policies, sorted by key.
func (t *Translator) Staged() []source.Staged {
	var out []source.Staged
	for _, o := range t.objects {
		if s, ok := o.parsed.(*stagedPolicy); ok && (o.errors == nil || len(o.errors.unjoined) == 0) {
			staged := *s.Staged
			staged.Policy = t.policies.Unpack(s.packed)
			out = append(out, staged)
		}
	}
	slices.SortFunc(out, func(a, b source.Staged) int { return a.Key.Compare(b.Key) })
	return out
}
