package translate

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// objectsBy are objects by a name that they refer to.
type objectsBy map[string]map[*object]struct{}

func (by objectsBy) add(name string, o *object) {
	if name == "" {
		return
	}
	set := by[name]
	if set == nil {
		set = map[*object]struct{}{}
		by[name] = set
	}
	set[o] = struct{}{}
}

func (by objectsBy) remove(name string, o *object) {
	if name == "" {
		return
	}
	delete(by[name], o)
	if len(by[name]) == 0 {
		delete(by, name)
	}
}

// tierIndex holds the tiers, and which policies name them.
type tierIndex struct {
	step     *step
	byName   map[string]*object
	policies objectsBy // by the tier that they name
	waiting  objectsBy // by the tier that their present version waits for
}

func newTierIndex(s *step) tierIndex {
	return tierIndex{step: s, byName: map[string]*object{}, policies: objectsBy{}, waiting: objectsBy{}}
}

// assign notes which tier a policy names now.
func (t *tierIndex) assign(o *object, tier string) {
	if o.tierRef != tier {
		t.touchHeld(o.tierRef)
		t.policies.remove(o.tierRef, o)
		t.policies.add(tier, o)
		t.touchHeld(tier)
		o.tierRef = tier
	}
}

// inForce reports whether a tier is in the model.
func (t *tierIndex) inForce(name string) bool {
	o := t.byName[name]
	return o != nil && o.compiled != nil
}

// touchPolicies marks what has to be joined again when a tier comes or goes: its
// policies, and those without a tier, whose findings name the tiers there are.
func (t *tierIndex) touchPolicies(tier string) {
	for _, by := range []objectsBy{t.policies, t.waiting} {
		for name, policies := range by {
			if name != tier && t.inForce(name) {
				continue
			}
			for p := range policies {
				t.step.dirty[p] = struct{}{}
			}
		}
	}
}

// touchPoliciesOf marks the policies whose findings speak of a tier: they
// tell an invalid one from none. That a tier came or went is seen in join.
func (t *tierIndex) touchPoliciesOf(o *object) {
	if o.key.Kind == policy.KindTier {
		t.touchPolicies(o.key.Name)
	}
}

// notEnforced is what follows for a policy whose tier is missing and that never was in force.
const notEnforced = "the policy is not enforced"

// findings returns what is wrong with the tier that a policy names; so says what follows
// if it is not in force.
func (t *tierIndex) findings(key policy.Key, origin store.Origin, name, so string) []store.Finding {
	r := store.Resource{Key: key, Origin: origin}
	tier := t.byName[name]
	switch {
	case t.inForce(name) && tier.held && !tier.present:
		f := r.At("spec.tier", "tier %q was deleted; it holds for as long as policies name it: create it again, or name one that exists (%s)",
			name, strings.Join(t.names(), ", "))
		f.FailClosed, f.About = true, tier.key
		return []store.Finding{f}
	case t.inForce(name):
		return nil
	case tier != nil && tier.present:
		return []store.Finding{r.At("spec.tier", "tier %q is invalid, so %s: fix the tier", name, so)}
	}
	names := t.names()
	return []store.Finding{r.At("spec.tier", "tier %q does not exist, so %s: create the tier, or name one that exists (%s)%s",
		name, so, strings.Join(names, ", "), suggest.DidYouMean(name, names))}
}

// names returns the tiers in the model that a policy may name.
func (t *tierIndex) names() []string {
	var names []string
	for name, o := range t.byName {
		if t.inForce(name) && !(o.held && !o.present) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Tier returns the tier of a key as it is in force; nil for one that is not, and for other objects.
func (t *Translator) Tier(key policy.Key) *policy.Tier {
	if o := t.objects[key]; o != nil {
		tier, _ := o.compiled.(*policy.Tier)
		return tier
	}
	return nil
}

// fixedTier returns a tier that there is without an object.
func fixedTier(name string) *policy.Tier {
	tiers := policy.FixedTiers()
	return tiers[slices.IndexFunc(tiers, func(t *policy.Tier) bool { return t.Name == name })]
}
