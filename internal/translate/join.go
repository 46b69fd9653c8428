package translate

import (
	"maps"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// link notes what the object depends on, and what has to be joined again because
// it changed.
func (t *Translator) link(o *object) {
	t.dirty[o] = struct{}{}
	switch {
	case o.wants != "":
		addTo(t.inTier, o.wants, o)
	case o.parsed.endpoint != nil, o.parsed.set != nil:
		addTo(t.inNamespace, o.key.Namespace, o)
	}
	t.touchDependents(o)
}

// unlink undoes link, before the object changes or goes.
func (t *Translator) unlink(o *object) {
	t.dirty[o] = struct{}{}
	switch {
	case o.wants != "":
		removeFrom(t.inTier, o.wants, o)
	case o.parsed.endpoint != nil, o.parsed.set != nil:
		removeFrom(t.inNamespace, o.key.Namespace, o)
	}
	t.touchDependents(o)
}

// touchDependents marks what has to be joined again when the object changes.
// That a tier came or went is seen in join.
func (t *Translator) touchDependents(o *object) {
	switch {
	case o.key.Kind == policy.KindTier:
		t.touchPolicies(o.key.Name) // whose findings tell an invalid tier from none
	case o.parsed.namespace != nil:
		for d := range t.inNamespace[o.key.Name] {
			t.dirty[d] = struct{}{}
		}
	case o.parsed.account != nil:
		for d := range t.inNamespace[o.key.Namespace] {
			if e := d.parsed.endpoint; e != nil && e.account == o.key.Name {
				t.dirty[d] = struct{}{}
			}
		}
	case o.parsed.endpoint != nil && o.key.Kind != policy.KindPod && o.key.Kind != policy.KindWorkloadEndpoint:
		// A workload may tell to whom the pods of its workloads belong.
		for d := range t.inNamespace[o.key.Namespace] {
			if e := d.parsed.endpoint; e != nil && e.controller != (policy.Key{}) {
				t.dirty[d] = struct{}{}
			}
		}
	}
}

// touchPolicies marks what has to be joined again when a tier comes or goes: its
// policies, and those without a tier, whose findings name the tiers there are.
func (t *Translator) touchPolicies(tier string) {
	for name, policies := range t.inTier {
		if o := t.tiers[name]; name != tier && o != nil && o.out != nil {
			continue
		}
		for p := range policies {
			t.dirty[p] = struct{}{}
		}
	}
}

func addTo(index map[string]map[*object]struct{}, name string, o *object) {
	set := index[name]
	if set == nil {
		set = map[*object]struct{}{}
		index[name] = set
	}
	set[o] = struct{}{}
}

func removeFrom(index map[string]map[*object]struct{}, name string, o *object) {
	delete(index[name], o)
	if len(index[name]) == 0 {
		delete(index, name)
	}
}

// joined gives the object's part of the model, nil if it has none.
func (t *Translator) joined(o *object) policy.Object {
	p := &o.parsed
	switch {
	case p.tier != nil:
		return p.tier
	case o.fixed != nil:
		return o.fixed
	case p.policy != nil:
		if !t.checkTier(o) {
			return nil
		}
		return p.policy
	case p.set != nil:
		return t.set(o)
	case p.endpoint != nil && p.endpoint.none == "" && !p.endpoint.template:
		return t.endpoint(o)
	case o.wants != "":
		t.checkTier(o)
	}
	return nil
}

// checkTier reports whether the policy's tier exists; if not, that is a finding.
func (t *Translator) checkTier(o *object) bool {
	o.unjoined = nil
	name := o.wants
	tier := t.tiers[name]
	if tier != nil && tier.out != nil {
		return true
	}
	r := store.Resource{Key: o.key, Origin: o.origin}
	if tier != nil && tier.present {
		o.unjoined = []store.Finding{r.At("spec.tier", "tier %q is invalid, so the policy is not enforced: mend the tier", name)}
		return false
	}
	names := t.tierNames()
	o.unjoined = []store.Finding{r.At("spec.tier", "tier %q does not exist, so the policy is not enforced: create the tier, or name one that exists (%s)%s",
		name, strings.Join(names, ", "), suggest.DidYouMean(name, names))}
	return false
}

func (t *Translator) tierNames() []string {
	var names []string
	for name, o := range t.tiers {
		if o.out != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *Translator) set(o *object) *policy.Set {
	labels := o.parsed.set.own
	if o.key.Namespace != "" {
		labels = t.share(labels, t.namespaceLabels(o.key.Namespace))
	}
	return &policy.Set{Key: o.key, Labels: labels, Nets: o.parsed.set.nets}
}

func (t *Translator) endpoint(o *object) *policy.Endpoint {
	e := o.parsed.endpoint
	parts := []selector.Labels{e.own, t.namespaceLabels(o.key.Namespace)}
	if e.orchestrator != "" {
		parts = append(parts, selector.Labels{{Key: labelOrchestrator, Value: e.orchestrator}})
	}
	if e.account != "" {
		parts = append(parts, t.accountLabels(o.key.Namespace, e.account))
	}
	return &policy.Endpoint{
		Key:       o.key,
		Node:      e.node,
		Interface: e.iface,
		Addrs:     e.addrs,
		Labels:    t.share(parts...),
		Ports:     e.ports,
		Profile:   e.profile,
		Owner:     t.owner(e),
	}
}

// share joins labels; within a step, equal label sets are one.
func (t *Translator) share(parts ...selector.Labels) selector.Labels {
	var b strings.Builder
	for _, p := range parts {
		for _, l := range p {
			b.WriteString(l.Key)
			b.WriteByte(0)
			b.WriteString(l.Value)
			b.WriteByte(0)
		}
	}
	key := b.String()
	joined, found := t.shared[key]
	if !found {
		joined = joinLabels(parts...)
		if t.shared != nil {
			t.shared[key] = joined
		}
	}
	return joined
}

// namespaceLabels gives what a namespace adds; one without an object has its names.
func (t *Translator) namespaceLabels(name string) selector.Labels {
	if o := t.objects[policy.Key{Kind: kindNamespace, Name: name}]; o != nil && o.parsed.namespace != nil {
		return o.parsed.namespace
	}
	labels, found := t.impliedNamespaces[name]
	if !found {
		labels = namespaceLabels(name, nil)
		t.impliedNamespaces[name] = labels
	}
	return labels
}

// accountLabels gives what a service account adds; one without an object has its name.
func (t *Translator) accountLabels(namespace, name string) selector.Labels {
	if o := t.objects[policy.Key{Kind: kindServiceAccount, Namespace: namespace, Name: name}]; o != nil && o.parsed.account != nil {
		return o.parsed.account
	}
	labels, found := t.impliedAccounts[name]
	if !found {
		labels = accountLabels(name, nil)
		t.impliedAccounts[name] = labels
	}
	return labels
}

// Kinds of objects that act through others.
const (
	kindNamespace      = "Namespace"
	kindServiceAccount = "ServiceAccount"
)

// sortedObjects gives all objects in the order of their keys.
func (t *Translator) sortedObjects() []*object {
	return slices.SortedFunc(maps.Values(t.objects), func(a, b *object) int { return a.key.Compare(b.key) })
}
