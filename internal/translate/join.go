package translate

import (
	"reflect"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// join makes the object's part of the model anew and emits a change.
func (t *Translator) join(o *object) {
	t.step.touch(o)
	before := o.compiled
	now := t.joined(o)
	t.rules.setInModel(o, now != nil)
	if (before == nil) != (now == nil) && o.key.Kind == policy.KindTier {
		t.tiers.touchPolicies(o.key.Name)
	}
	if before == nil && now == nil || before != nil && now != nil && same(before, now) {
		return
	}
	if packed, ok := now.(compact.Packed); ok {
		now = t.policies.Share(packed)
	}
	o.compiled = now
	t.step.change(policy.Change{Key: o.key, Object: t.modelObject(now)})
	t.release(before)
}

// same reports whether two parts of the model are equal.
func same(a, b any) bool {
	if p, ok := a.(compact.Packed); ok {
		return p == b
	}
	return reflect.DeepEqual(a, b)
}

// joined returns the object's part of the model, nil if it has none.
func (t *Translator) joined(o *object) any {
	switch m := o.parsed.(type) {
	case *policy.Tier:
		if o.held && !t.tiers.hold(o) {
			return nil
		}
		return m
	case compact.Packed:
		if t.checkTier(o) {
			return t.services.expanded(o, m)
		}
		return nil
	case *profile:
		return t.services.expanded(o, m.packed)
	case *source.ReservedProfile:
		if m.Differs {
			o.setUnjoined(reservedNote(o))
		}
		return nil
	case *source.NetworkSet:
		return t.networkSet(o, m)
	case *source.HostEndpoint:
		findings := t.hosts.findings(o, m)
		if o.setUnjoined(findings); findings != nil {
			return nil
		}
		return t.hostEndpoint(o, m)
	}
	if o.fixed {
		return fixedTier(o.key.Name)
	}
	if o.tierRef != "" {
		t.checkTier(o)
	}
	return nil
}

// checkTier reports whether the policy's tier is in force. That it is not, or not for long, is
// a finding, and so is that of the tier which a version waits for.
func (t *Translator) checkTier(o *object) bool {
	if o.waiting != nil {
		o.setUnjoined(t.tiers.findings(o.key, o.origin, o.waiting.TierName(), "this version of the policy is not enforced, its last valid version is"))
	} else {
		o.setUnjoined(t.tiers.findings(o.key, o.origin, o.tierRef, notEnforced))
	}
	return t.tiers.inForce(o.tierRef)
}

// hostEndpoint joins a host endpoint with its profiles.
func (t *Translator) hostEndpoint(o *object, h *source.HostEndpoint) *policy.Endpoint {
	if len(h.Profiles) == 0 {
		return h.Endpoint
	}
	o.setUnjoined(t.profiles.findings(o.key, o.origin, h.Profiles))
	ep := *h.Endpoint
	ep.Labels = source.JoinProfileLabels(ep.Labels, t.profiles.labels(h.Profiles)...)
	return &ep
}

// networkSet joins a network set with the labels of its namespace.
func (t *Translator) networkSet(o *object, s *source.NetworkSet) *policy.Set {
	labels := s.Labels
	if o.key.Namespace != "" {
		labels = source.JoinLabels(labels, t.namespaces.byName[o.key.Namespace].labels)
	}
	return &policy.Set{Key: o.key, Labels: labels, Nets: s.Nets, Domains: s.Domains, AllowInternal: s.AllowInternal}
}

// modelObject returns the model's object of what is compiled.
func (t *Translator) modelObject(compiled any) policy.Object {
	switch m := compiled.(type) {
	case *policy.Tier:
		return m
	case *policy.Set:
		return m
	case *policy.Endpoint:
		return m
	case compact.Packed:
		return t.policies.Unpack(m)
	}
	return nil
}
