package translate

import (
	"reflect"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// stagedPolicy is a Staged as it is kept.
type stagedPolicy struct {
	*Staged // without its policy
	packed  compact.Packed
}

// elsewhere is what an object means that acts through others and is kept with
// these: a namespace, a service account.
type elsewhere struct{}

// keep returns what is kept of a parsed object: *policy.Tier, compact.Packed,
// *stagedPolicy, *netset, *endpoint (of a workload), *policy.Node, elsewhere, or
// nil for what is only known to be there.
func (t *Translator) keep(p *parsed) any {
	switch {
	case p.tier != nil:
		return p.tier
	case p.policy != nil:
		return t.policies.Pack(p.policy)
	case p.staged != nil:
		packed := t.policies.Pack(p.staged.Policy)
		p.staged.Policy = nil
		return &stagedPolicy{p.staged, packed}
	case p.set != nil:
		return p.set
	case p.endpoint != nil:
		return p.endpoint
	case p.node != nil:
		return p.node
	case p.service != nil:
		return p.service
	case p.slice != nil:
		return p.slice
	case p.host != nil:
		return p.host
	case p.namespace != nil:
		return p.namespace
	case p.account != nil:
		return p.account
	}
	return nil
}

// replace puts what an object now means in the place of what it meant, and marks
// what has to be joined again.
func (t *Translator) replace(o *object, means any, wants string) {
	t.step.dirty[o] = struct{}{}
	if o.wants != wants {
		removeFrom(t.inTier, o.wants, o)
		addTo(t.inTier, wants, o)
		o.wants = wants
	}
	t.touchPoliciesOf(o)
	was := o.means
	o.means = means
	switch o.key.Kind {
	case kindNamespace:
		t.setNamespace(o)
	case kindServiceAccount:
		t.setAccount(o)
	}
	if _, ok := was.(*netset); ok {
		t.leaveNamespace(o)
	}
	if _, ok := means.(*netset); ok {
		t.joinNamespace(o)
	}
	t.replaceNode(o)
	t.replaceWorkload(o, was, means)
	t.replaceService(o, was, means)
	t.moveHost(o, was, means)
	t.releaseMeaning(was)
}

func (t *Translator) releaseMeaning(means any) {
	switch m := means.(type) {
	case compact.Packed:
		t.policies.Release(m)
	case *stagedPolicy:
		t.policies.Release(m.packed)
	}
}

// touchPoliciesOf marks the policies whose findings say something of a tier: they
// tell an invalid one from none. That a tier came or went is seen in join.
func (t *Translator) touchPoliciesOf(o *object) {
	if o.key.Kind == policy.KindTier {
		t.touchPolicies(o.key.Name)
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
			t.step.dirty[p] = struct{}{}
		}
	}
}

func addTo(index map[string]map[*object]struct{}, name string, o *object) {
	if name == "" {
		return
	}
	set := index[name]
	if set == nil {
		set = map[*object]struct{}{}
		index[name] = set
	}
	set[o] = struct{}{}
}

func removeFrom(index map[string]map[*object]struct{}, name string, o *object) {
	if name == "" {
		return
	}
	delete(index[name], o)
	if len(index[name]) == 0 {
		delete(index, name)
	}
}

// join makes the object's part of the model anew and gives out a change.
func (t *Translator) join(o *object) {
	t.touched(o)
	before := o.out
	now := t.joined(o)
	t.rules.settle(o, now != nil)
	if (before == nil) != (now == nil) && o.key.Kind == policy.KindTier {
		t.touchPolicies(o.key.Name)
	}
	if before == nil && now == nil || before != nil && now != nil && same(before, now) {
		return
	}
	if packed, ok := now.(compact.Packed); ok {
		now = t.policies.Share(packed)
	}
	o.out = now
	t.step.change(policy.Change{Key: o.key, Object: t.modelObject(now)})
	t.releaseMeaning(before)
}

// same reports whether two parts of the model are equal.
func same(a, b any) bool {
	if p, ok := a.(compact.Packed); ok {
		return p == b
	}
	return reflect.DeepEqual(a, b)
}

// modelObject returns the model's object of an out.
func (t *Translator) modelObject(out any) policy.Object {
	switch out := out.(type) {
	case *policy.Tier:
		return out
	case *policy.Set:
		return out
	case *policy.Endpoint:
		return out
	case compact.Packed:
		return t.policies.Unpack(out)
	}
	return nil
}

// joined returns the object's part of the model, nil if it has none.
func (t *Translator) joined(o *object) any {
	switch m := o.means.(type) {
	case *policy.Tier:
		return m
	case compact.Packed:
		if t.checkTier(o) {
			return t.withServices(o, m)
		}
		return nil
	case *netset:
		return t.set(o, m)
	case *hostEndpoint:
		if ep := t.host(o, m); ep != nil {
			return ep
		}
		return nil
	}
	if o.fixed {
		return fixedTier(o.key.Name)
	}
	if o.wants != "" {
		t.checkTier(o)
	}
	return nil
}

func fixedTier(name string) *policy.Tier {
	tiers := policy.FixedTiers()
	return tiers[slices.IndexFunc(tiers, func(t *policy.Tier) bool { return t.Name == name })]
}

// checkTier reports whether the policy's tier exists; if not, that is a finding.
func (t *Translator) checkTier(o *object) bool {
	findings := t.tierFindings(o.key, o.origin, o.wants)
	if findings != nil || o.trouble != nil {
		o.wrong(func(tr *trouble) { tr.unjoined = findings })
	}
	return findings == nil
}

// tierFindings says what is wrong with the tier that a policy names.
func (t *Translator) tierFindings(key policy.Key, origin store.Origin, name string) []store.Finding {
	tier := t.tiers[name]
	if tier != nil && tier.out != nil {
		return nil
	}
	r := store.Resource{Key: key, Origin: origin}
	if tier != nil && tier.present {
		return []store.Finding{r.At("spec.tier", "tier %q is invalid, so the policy is not enforced: fix the tier", name)}
	}
	names := t.tierNames()
	return []store.Finding{r.At("spec.tier", "tier %q does not exist, so the policy is not enforced: create the tier, or name one that exists (%s)%s",
		name, strings.Join(names, ", "), suggest.DidYouMean(name, names))}
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

func (t *Translator) set(o *object, s *netset) *policy.Set {
	labels := s.own
	if o.key.Namespace != "" {
		labels = joinLabels(labels, t.namespaces[o.key.Namespace].labels)
	}
	return &policy.Set{Key: o.key, Labels: labels, Nets: s.nets, Domains: s.domains}
}
