package translate

import (
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// stagedPolicy is a Staged as it is kept.
type stagedPolicy struct {
	*source.Staged // without its policy
	packed         compact.Packed
}

// actsElsewhere is kept of an object that acts through others, which hold what it
// says: a namespace, a service account.
type actsElsewhere struct{}

// update parses the new version of an object.
func (t *Translator) update(r *store.Resource) {
	o := t.touch(r.Key)
	t.setPresent(o, true)
	o.origin = r.Origin
	if o.held { // what was held is the last valid version of what is there again
		o.held, o.valid = false, true
		t.step.dirty[o] = struct{}{}
	}
	p, ps := source.Parse(r, t.opts.Offline)
	if t.opts.Offline || !o.valid || o.isolates { // else the last valid version stays in force
		if bare, closed, is := p.Isolating(ps); is {
			p, ps = bare, closed
		}
	}
	o.setErrors(func(e *objectErrors) { e.rejected, e.invalid = nil, ps.Findings(r) })
	if ps.Invalid() && !t.opts.Offline {
		t.await(o, nil)
		t.tiers.touchPoliciesOf(o)
		t.profiles.changed(o, false)
		return // the last valid version, if any, stays in force
	}
	if t.mustWait(o, &p) {
		t.await(o, &p)
		return // so too while the new one names a tier that is missing
	}
	o.valid = !ps.Invalid()
	t.adopt(o, &p)
}

// adopt puts a version of an object in the place of what is known of it.
func (t *Translator) adopt(o *object, p *source.Parsed) {
	t.await(o, nil)
	o.setErrors(func(e *objectErrors) { e.unjoined = nil })
	o.isolates = p.Isolates
	var parsed any
	tier, services := p.TierName(), source.ServicesOf(p)
	if o.valid {
		parsed = t.keep(p)
	} else {
		services = nil
	}
	t.rules.setParsed(o, p.RuleSets)
	t.services.use(o, services)
	t.replace(o, parsed, tier)
}

// remove forgets an object, and what the source said of a fixed tier.
func (t *Translator) remove(key policy.Key) {
	if t.objects[key] == nil {
		return
	}
	o := t.touch(key)
	t.await(o, nil)
	if t.canHold(o) {
		t.step.dirty[o] = struct{}{}
		t.tiers.touchPoliciesOf(o)
		o.held = true
	} else {
		t.rules.setParsed(o, nil)
		t.services.use(o, nil)
		t.replace(o, nil, "")
	}
	t.setPresent(o, false)
	o.valid, o.isolates, o.origin, o.errors = false, false, nil, nil
}

// keep returns what is kept of a parsed object: *policy.Tier, compact.Packed,
// *profile, *stagedPolicy, *source.NetworkSet, *source.Endpoint (of a workload), *policy.Node,
// *source.Service, *source.EndpointSlice, *source.HostEndpoint, selector.Labels (of what
// acts elsewhere), or nil for what is only known to be there.
func (t *Translator) keep(p *source.Parsed) any {
	switch {
	case p.Tier != nil:
		return p.Tier
	case p.Profile != nil:
		return &profile{t.policies.Pack(p.Policy), p.Profile.Labels}
	case p.Policy != nil:
		return t.policies.Pack(p.Policy)
	case p.Staged != nil:
		packed := t.policies.Pack(p.Staged.Policy)
		p.Staged.Policy = nil
		return &stagedPolicy{p.Staged, packed}
	case p.NetworkSet != nil:
		return p.NetworkSet
	case p.Endpoint != nil:
		return p.Endpoint
	case p.Node != nil:
		return p.Node
	case p.Service != nil:
		return p.Service
	case p.EndpointSlice != nil:
		return p.EndpointSlice
	case p.HostEndpoint != nil:
		return p.HostEndpoint
	case p.NamespaceLabels != nil:
		return p.NamespaceLabels
	case p.AccountLabels != nil:
		return p.AccountLabels
	case p.Reserved != nil:
		return p.Reserved
	}
	return nil
}

// replace puts what an object says now in the place of what it said, and marks
// what has to be joined again.
func (t *Translator) replace(o *object, parsed any, tier string) {
	t.step.dirty[o] = struct{}{}
	t.tiers.assign(o, tier)
	t.tiers.touchPoliciesOf(o)
	was := o.parsed
	o.parsed = parsed
	labels, hasLabels := parsed.(selector.Labels)
	switch o.key.Kind {
	case kindNamespace:
		t.namespaces.set(o.key.Name, labels)
	case kindServiceAccount:
		t.namespaces.setAccount(o.key.Namespace, o.key.Name, labels)
	case policy.KindNode:
		t.nodes.replace(o)
	}
	if hasLabels {
		o.parsed = actsElsewhere{}
	}
	if _, ok := was.(*source.NetworkSet); ok {
		t.namespaces.removeSet(o)
	}
	if _, ok := parsed.(*source.NetworkSet); ok {
		t.namespaces.addSet(o)
	}
	t.endpoints.noteWorkload(o, was, parsed)
	t.services.replace(o, was, parsed)
	t.hosts.move(o, was, parsed)
	t.profiles.replace(o, was, parsed)
	t.release(was)
}

// release lets go of a policy that was kept.
func (t *Translator) release(kept any) {
	switch m := kept.(type) {
	case compact.Packed:
		t.policies.Release(m)
	case *profile:
		t.policies.Release(m.packed)
	case *stagedPolicy:
		t.policies.Release(m.packed)
	}
}
