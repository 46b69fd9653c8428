package translate

import (
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Translator holds what the current objects of a source mean, and keeps the model
// that they make. It works in two steps. An object is first parsed on its own,
// which finds all that is wrong with it. Then it is joined with those it depends
// on: an endpoint with the labels of its namespace and service account, a policy
// with its tier. When one of those changes, only the second step is repeated,
// for what depends on it.
//
// Of the objects themselves nothing is kept. Pods, of which a cluster has very
// many, are kept as records of a few numbers (endpoints.go), policies packed;
// their objects in the model are made when they are asked for.
//
// A Translator is not safe for concurrent use.
type Translator struct {
	opts Options

	// objects are all but pods and WorkloadEndpoints, which are in endpoints.
	objects   map[policy.Key]*object
	tiers     map[string]*object
	inTier    map[string]map[*object]struct{} // policies, by the tier that they name
	hostsOn   map[string]map[*object]struct{} // host endpoints, by node
	policies  *compact.Policies
	endpoints *endpointTable

	rules     ruleSets // what rules refer to that is no object
	nodeTable nodeTable
	services  serviceTable

	namespaces      map[string]*namespace
	impliedAccounts map[string]selector.Labels // of service accounts that are only referred to

	// troubles are what is wrong with pods and WorkloadEndpoints; rejected are the
	// keys of all kinds with findings of the store; invalid are those of objects
	// that are not in force as the source has them.
	troubles map[policy.Key]*trouble
	rejected map[policy.Key]struct{}
	invalid  map[policy.Key]struct{}
	counts   map[KindState]int

	step step            // the present one
	own  selector.Labels // space that is used again and again
}

// object is what the Translator knows of one key.
type object struct {
	key    policy.Key
	origin store.Origin
	// present says that the source has the object. A fixed tier is known without;
	// valid says that there is a version in force, which after a change for the
	// worse is not the present one.
	present, fixed, valid bool

	// means is what the version in force says by itself, nil for nothing: see keep.
	means any
	// wants is the tier that a policy names, also an invalid one: that the tier is
	// missing is said together with what else is wrong.
	wants string

	trouble *trouble // nil if nothing is wrong

	out any // what is in the model: nil, *policy.Tier, *policy.Set or compact.Packed
}

// trouble is what is wrong with an object.
type trouble struct {
	rejected []store.Finding // by the store: what it could not parse
	invalid  []store.Finding // by parse
	unjoined []store.Finding // by join, such as a missing tier
}

// isEmpty reports whether nothing is wrong any more.
func (t *trouble) isEmpty() bool {
	return t == nil || len(t.rejected)+len(t.invalid)+len(t.unjoined) == 0
}

// New makes a translator without any objects. Its model holds the fixed tiers.
func New(opts Options) *Translator {
	t := &Translator{
		opts:            opts,
		objects:         map[policy.Key]*object{},
		tiers:           map[string]*object{},
		inTier:          map[string]map[*object]struct{}{},
		hostsOn:         map[string]map[*object]struct{}{},
		policies:        compact.NewPolicies(),
		endpoints:       newEndpointTable(),
		rules:           newRuleSets(),
		services:        newServiceTable(),
		nodeTable:       nodeTable{byName: map[string]*policy.Node{}},
		namespaces:      map[string]*namespace{},
		impliedAccounts: map[string]selector.Labels{},
		troubles:        map[policy.Key]*trouble{},
		rejected:        map[policy.Key]struct{}{},
		invalid:         map[policy.Key]struct{}{},
		counts:          map[KindState]int{},
		step:            newStep(Sink{}),
	}
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
		if key.Kind == policy.KindTier {
			t.tiers[key.Name] = o
		}
	}
	return o
}

// update parses the new version of an object.
func (t *Translator) update(r *store.Resource) {
	o := t.touch(r.Key)
	o.present, o.origin = true, r.Origin
	p, ps := t.parse(r)
	o.wrong(func(tr *trouble) { tr.rejected, tr.invalid = nil, ps.findings(r) })
	if ps.open() && !t.opts.Offline {
		t.touchPoliciesOf(o)
		return // the last valid version, if any, stays in force
	}
	o.wrong(func(tr *trouble) { tr.unjoined = nil })
	var means any
	tier, services := p.tierName(), servicesOf(&p)
	if o.valid = !ps.open(); o.valid {
		means = t.keep(&p)
	}
	t.rules.mean(o, p.sets)
	if !o.valid {
		services = nil
	}
	t.useServices(o, services)
	t.replace(o, means, tier)
}

// remove forgets an object, and what the source said of a fixed tier.
func (t *Translator) remove(key policy.Key) {
	if t.objects[key] == nil {
		return
	}
	o := t.touch(key)
	t.rules.mean(o, nil)
	t.useServices(o, nil)
	t.replace(o, nil, "")
	o.present, o.valid, o.origin, o.trouble = false, false, nil, nil
}

// wrong changes what is wrong with the object.
func (o *object) wrong(change func(*trouble)) {
	tr := o.trouble
	if tr == nil {
		tr = &trouble{}
	}
	change(tr)
	if o.trouble = tr; tr.isEmpty() {
		o.trouble = nil
	}
}
