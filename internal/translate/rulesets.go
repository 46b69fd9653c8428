package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Some of what a rule says is a set of the model that no object of the source is:
// the domains that it names, for example. Such sets come with the policies whose
// rules refer to them, and go with the last of these. Those of one key are equal.
type ruleSets struct {
	means map[*object][]*policy.Set // what the version in force of a policy refers to
	out   map[*object][]*policy.Set // while the policy is in the model
	inUse map[policy.Key]*ruleSet
	// touched are those whose use has changed in this step, and whether they were in the model.
	touched map[policy.Key]bool
	renewed map[policy.Key]bool // those that are not what they were
}

type ruleSet struct {
	set  *policy.Set
	refs int // policies in the model
}

func newRuleSets() ruleSets {
	return ruleSets{
		means: map[*object][]*policy.Set{}, out: map[*object][]*policy.Set{},
		inUse: map[policy.Key]*ruleSet{}, touched: map[policy.Key]bool{}, renewed: map[policy.Key]bool{},
	}
}

// mean notes what a policy refers to.
func (r *ruleSets) mean(o *object, sets []*policy.Set) {
	if len(sets) == 0 {
		delete(r.means, o)
		return
	}
	r.means[o] = sets
}

// settle counts the sets of a policy, which is in the model or is not.
func (r *ruleSets) settle(o *object, in bool) {
	was := r.out[o]
	var now []*policy.Set
	if in {
		now = r.means[o]
	}
	for _, s := range now {
		r.touch(s.Key)
		if r.inUse[s.Key] == nil {
			r.inUse[s.Key] = &ruleSet{set: s}
		}
		r.inUse[s.Key].refs++
	}
	for _, s := range was {
		r.touch(s.Key)
		if held := r.inUse[s.Key]; held.refs == 1 {
			delete(r.inUse, s.Key)
		} else {
			held.refs--
		}
	}
	if len(now) > 0 {
		r.out[o] = now
	} else if len(was) > 0 {
		delete(r.out, o)
	}
}

func (r *ruleSets) touch(key policy.Key) {
	if _, touched := r.touched[key]; !touched {
		r.touched[key] = r.inUse[key] != nil
	}
}

// flush returns out, at the end of a step, which sets came and went.
func (r *ruleSets) flush(change func(policy.Change)) {
	for _, key := range slices.SortedFunc(maps.Keys(r.touched), policy.Key.Compare) {
		switch held := r.inUse[key]; {
		case held == nil && r.touched[key]:
			change(policy.Change{Key: key})
		case held != nil && (!r.touched[key] || r.renewed[key]):
			change(policy.Change{Key: key, Object: held.set})
		}
	}
	clear(r.touched)
	clear(r.renewed)
}

// renew puts another version in the place of a set that is in use.
func (r *ruleSets) renew(set *policy.Set) {
	r.touch(set.Key)
	r.inUse[set.Key].set = set
	r.renewed[set.Key] = true
}

// each visits the sets in the model, in the order of keys.
func (r *ruleSets) each(visit func(*policy.Set)) {
	for _, key := range slices.SortedFunc(maps.Keys(r.inUse), policy.Key.Compare) {
		visit(r.inUse[key].set)
	}
}
