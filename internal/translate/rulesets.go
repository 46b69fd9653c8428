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
	parsed   map[*object][]*policy.Set // what the version in force of a policy refers to
	compiled map[*object][]*policy.Set // while the policy is in the model
	inUse    map[policy.Key]*ruleSet
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
		parsed: map[*object][]*policy.Set{}, compiled: map[*object][]*policy.Set{},
		inUse: map[policy.Key]*ruleSet{}, touched: map[policy.Key]bool{}, renewed: map[policy.Key]bool{},
	}
}

// setParsed notes what a policy refers to.
func (r *ruleSets) setParsed(o *object, sets []*policy.Set) {
	if len(sets) == 0 {
		delete(r.parsed, o)
		return
	}
	r.parsed[o] = sets
}

// setInModel counts the sets of a policy, which is in the model or is not.
func (r *ruleSets) setInModel(o *object, in bool) {
	was := r.compiled[o]
	var now []*policy.Set
	if in {
		now = r.parsed[o]
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
		if used := r.inUse[s.Key]; used.refs == 1 {
			delete(r.inUse, s.Key)
		} else {
			used.refs--
		}
	}
	if len(now) > 0 {
		r.compiled[o] = now
	} else if len(was) > 0 {
		delete(r.compiled, o)
	}
}

func (r *ruleSets) touch(key policy.Key) {
	if _, touched := r.touched[key]; !touched {
		r.touched[key] = r.inUse[key] != nil
	}
}

// flush emits, at the end of a step, which sets came and went.
func (r *ruleSets) flush(change func(policy.Change)) {
	for _, key := range slices.SortedFunc(maps.Keys(r.touched), policy.Key.Compare) {
		switch used := r.inUse[key]; {
		case used == nil && r.touched[key]:
			change(policy.Change{Key: key})
		case used != nil && (!r.touched[key] || r.renewed[key]):
			change(policy.Change{Key: key, Object: used.set})
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
