package translate

import (
	"reflect"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Translator holds the current objects of a source and keeps the model that
// they make. It works in two steps. An object is first parsed on its own, which
// finds all that is wrong with it. Then it is joined with those it depends on:
// an endpoint with the labels of its namespace and service account, a policy
// with its tier. When one of those changes, only the second step is repeated,
// for what depends on it.
//
// A Translator is not safe for concurrent use.
type Translator struct {
	opts    Options
	objects map[policy.Key]*object

	// What depends on a namespace, and on a tier.
	inNamespace map[string]map[*object]struct{}
	inTier      map[string]map[*object]struct{}

	// tiers holds the objects of tiers by name, rejected those with findings of
	// the store: neither is looked for among all objects.
	tiers    map[string]*object
	rejected map[*object]struct{}

	// What namespaces and service accounts that are only referred to add to labels.
	impliedNamespaces map[string]selector.Labels
	impliedAccounts   map[string]selector.Labels

	// Of the present step: what is to be joined again, and label sets to share.
	dirty  map[*object]struct{}
	shared map[string]selector.Labels
}

// object is what the Translator knows of one key.
type object struct {
	key    policy.Key
	origin store.Origin
	// present says that the source has the object. A fixed tier is known without.
	present bool
	fixed   *policy.Tier

	// parsed is the version in force, which after a change for the worse is not
	// the present one; valid says that there is one.
	parsed parsed
	valid  bool

	// wants is the tier that a policy names, also an invalid one: that the tier is
	// missing is said together with what else is wrong.
	wants string

	rejected []store.Finding // by the store: what it could not parse
	invalid  []store.Finding // by parse
	unjoined []store.Finding // by join, such as a missing tier

	out    policy.Object // what is in the model; nil if nothing
	status Status        // as last reported
}

// New makes a translator without any objects. Its model holds the fixed tiers.
func New(opts Options) *Translator {
	t := &Translator{
		opts:        opts,
		objects:     map[policy.Key]*object{},
		inNamespace: map[string]map[*object]struct{}{},
		inTier:      map[string]map[*object]struct{}{},
		tiers:       map[string]*object{},
		rejected:    map[*object]struct{}{},
		dirty:       map[*object]struct{}{},

		impliedNamespaces: map[string]selector.Labels{},
		impliedAccounts:   map[string]selector.Labels{},
	}
	for _, tier := range policy.FixedTiers() {
		o := t.object(tier.ObjectKey())
		o.fixed = tier
		t.dirty[o] = struct{}{}
	}
	return t
}

// Apply takes a step of a store in and says what it changed. The first Result
// of a Translator also holds the fixed tiers.
//
// Findings of the batch are reported in the statuses of their objects; those of
// files are the caller's to report.
func (t *Translator) Apply(b store.Batch) Result {
	t.shared = map[string]selector.Labels{}
	touched := map[*object]struct{}{}
	for _, key := range b.Deleted {
		if o := t.objects[key]; o != nil {
			t.remove(o)
			touched[o] = struct{}{}
		}
	}
	for i := range b.Updated {
		o := t.object(b.Updated[i].Key)
		t.update(o, &b.Updated[i])
		touched[o] = struct{}{}
	}
	for _, o := range t.reject(b.Findings) {
		touched[o] = struct{}{}
	}
	var result Result
	// Tiers first: whether policies are in force depends on them.
	for _, o := range t.takeDirty(true) {
		result.Changes = t.join(o, result.Changes)
	}
	for _, o := range t.takeDirty(false) {
		result.Changes = t.join(o, result.Changes)
		touched[o] = struct{}{}
	}
	result.Statuses = t.report(touched)
	slices.SortFunc(result.Changes, func(a, b policy.Change) int { return a.Key.Compare(b.Key) })
	// New maps: one that was large once is slow to go through when it is empty.
	t.shared, t.dirty = nil, map[*object]struct{}{}
	return result
}

// Update takes one object in, new or in a new version.
func (t *Translator) Update(r store.Resource) Result {
	return t.Apply(store.Batch{Updated: []store.Resource{r}})
}

// Delete forgets one object.
func (t *Translator) Delete(key policy.Key) Result {
	return t.Apply(store.Batch{Deleted: []policy.Key{key}})
}

// object gives what is known of a key, making it if it is new.
func (t *Translator) object(key policy.Key) *object {
	o := t.objects[key]
	if o == nil {
		o = &object{key: key}
		t.objects[key] = o
		if key.Kind == policy.KindTier {
			t.tiers[key.Name] = o
		}
	}
	return o
}

// update parses the new version of an object.
func (t *Translator) update(o *object, r *store.Resource) {
	o.present, o.origin, o.rejected = true, r.Origin, nil
	p, ps := parse(r)
	o.invalid = ps.findings(r)
	if len(ps) > 0 && !t.opts.Offline {
		t.touchDependents(o)
		return // the last valid version, if any, stays in force
	}
	t.unlink(o)
	o.unjoined, o.wants = nil, p.tierName()
	o.parsed, o.valid = p, len(ps) == 0
	if !o.valid {
		o.parsed = parsed{}
	}
	t.link(o)
}

// remove forgets an object, and what the source said of a fixed tier.
func (t *Translator) remove(o *object) {
	t.unlink(o)
	o.present, o.valid, o.parsed, o.wants = false, false, parsed{}, ""
	o.origin, o.rejected, o.invalid, o.unjoined = nil, nil, nil, nil
	t.dirty[o] = struct{}{}
}

// reject notes the findings of the store at their objects and gives the objects
// for which that changed anything.
func (t *Translator) reject(findings []store.Finding) []*object {
	byKey := map[policy.Key][]store.Finding{}
	for _, f := range findings {
		if !f.Note && f.Key != (policy.Key{}) {
			byKey[f.Key] = append(byKey[f.Key], f)
		}
	}
	var changed []*object
	for key, list := range byKey {
		o := t.object(key)
		if !o.present {
			t.touchDependents(o)
		}
		o.present, o.rejected = true, list
		t.rejected[o] = struct{}{}
		changed = append(changed, o)
	}
	for o := range t.rejected {
		if byKey[o.key] == nil {
			delete(t.rejected, o)
			o.rejected = nil
			// What the store rejected and now no longer mentions is gone, unless
			// a version of it is known.
			o.present = o.valid || o.invalid != nil
			t.touchDependents(o)
			changed = append(changed, o)
		}
	}
	return changed
}

// takeDirty takes the tiers, or all the others, from what is to be joined.
func (t *Translator) takeDirty(tiers bool) []*object {
	var out []*object
	for o := range t.dirty {
		if (o.key.Kind == policy.KindTier) == tiers {
			out = append(out, o)
			delete(t.dirty, o)
		}
	}
	return out
}

// join makes the object's part of the model anew and notes a change.
func (t *Translator) join(o *object, changes []policy.Change) []policy.Change {
	before := o.out
	o.out = t.joined(o)
	if (before == nil) != (o.out == nil) && o.key.Kind == policy.KindTier {
		t.touchPolicies(o.key.Name)
	}
	if before == nil && o.out == nil || before != nil && o.out != nil && reflect.DeepEqual(before, o.out) {
		return changes
	}
	return append(changes, policy.Change{Key: o.key, Object: o.out})
}

// report gives the statuses that are not as they were last reported, and
// forgets objects that are gone.
func (t *Translator) report(touched map[*object]struct{}) []Status {
	var out []Status
	for o := range touched {
		status := o.newStatus()
		if !o.present && o.fixed == nil {
			delete(t.objects, o.key)
			if o.key.Kind == policy.KindTier {
				delete(t.tiers, o.key.Name)
			}
		}
		if !reflect.DeepEqual(status, o.status) {
			o.status = status
			out = append(out, status)
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return a.Key.Compare(b.Key) })
	return out
}

// newStatus judges the object's state; it is 0 for one that is gone.
func (o *object) newStatus() Status {
	s := Status{Key: o.key, Findings: slices.Concat(o.rejected, o.invalid, o.unjoined)}
	// Namespaces, service accounts and nodes act through others.
	acts := o.out != nil || o.parsed.namespace != nil || o.parsed.account != nil || o.parsed.node != nil
	acts = acts || o.valid && o.parsed.endpoint != nil && o.parsed.endpoint.template
	switch {
	case !o.present:
	case acts && o.valid && len(s.Findings) > 0:
		s.State = LastValid
	case acts && o.valid:
		s.State = InForce
	case len(s.Findings) > 0:
		s.State = NotInForce
	default:
		s.State = NotEnforced
	}
	return s
}
