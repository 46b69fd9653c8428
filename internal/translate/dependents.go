package translate

import (
	"maps"

	"github.com/tierwall/tierwall/policy"
)

// isEmittedLater reports whether an endpoint is emitted at the end of the step, with all
// that depend on the same.
func (t *endpointTable) isEmittedLater(r *record) bool {
	s := t.step
	if len(s.profileLists) > 0 && s.profileLists[t.profileListOf(r)] {
		return true
	}
	if len(s.namespaces)+len(s.accounts)+len(s.owners) == 0 {
		return false
	}
	n := t.namespaces.at(r.namespace)
	if _, found := s.namespaces[n]; found {
		return true
	}
	if _, found := s.owners[r.controller]; found {
		return true
	}
	if len(s.accounts) == 0 {
		return false
	}
	account := t.words.At(headOf(t.podTemplateKeys.At(r.podTemplateKey)).account)
	_, found := s.accounts[accountKey{n, account}]
	return found
}

// emitDependents emits the endpoints that depend on what changed.
func (t *endpointTable) emitDependents() {
	s := t.step
	affected := maps.Clone(s.namespaces)
	for account := range s.accounts {
		affected[account.namespace] = struct{}{}
	}
	for controller := range s.owners {
		if c := t.controllers.at(controller); c.refs > 0 {
			affected[t.namespaces.at(c.namespace)] = struct{}{}
		}
	}
	maps.DeleteFunc(affected, func(n *namespace, _ struct{}) bool { return n.endpoints == 0 })
	if len(affected)+len(s.profileLists) == 0 {
		return
	}
	// A list of each namespace's endpoints would take more memory than it is
	// worth: to look at all of a hundred thousand records takes less than a millisecond.
	t.each(func(id uint32, r *record) {
		t.recheckProfiles(id, r)
		if r.managed() && t.isEmittedLater(r) {
			s.change(policy.Change{Key: t.key(r), Object: t.endpoint(id)})
		}
	})
}
