package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// policyEntry is one version of a policy. Most are of no local endpoint and are
// kept packed, but for the selector that says so.
type policyEntry struct {
	key      keyHash
	packed   compact.Packed
	selector *selector.Selector
	filed    filing
	applied  int            // identities of local endpoints that the selector matches
	policy   *policy.Policy // while it is applied or in force
	force    *inForce       // nil while no local endpoint needs it
}

// inForce is what is known of a policy that applies to local endpoints.
type inForce struct {
	refs  int         // their identities
	rules [2][]uint32 // by Direction
}

type policyTable struct {
	pool  pool[policyEntry]
	byKey compact.Index
	index selectorIndex
	packs *compact.Policies
}

func newPolicyTable() *policyTable {
	t := &policyTable{index: newSelectorIndex(), packs: compact.NewPolicies()}
	t.byKey = compact.NewIndex(func(id uint32) uint64 { return t.at(id).key.sum() })
	return t
}

func (t *policyTable) at(id uint32) *policyEntry { return t.pool.at(id) }

func (t *policyTable) find(h keyHash) uint32 {
	return t.byKey.Find(h.sum(), func(id uint32) bool { return t.at(id).key == h })
}

func (e *ruleset) setPolicy(key policy.Key, p *policy.Policy) {
	if key.Kind == policy.KindProfile {
		e.setProfile(key.Name, p)
		return
	}
	t := e.policies
	h := hashKey(key)
	old := t.find(h)
	if p == nil {
		if old != 0 {
			e.dropPolicy(old)
		}
		return
	}
	packed := t.packs.Pack(p)
	if old != 0 {
		if t.at(old).packed == packed {
			t.packs.Release(packed)
			return
		}
		e.dropPolicy(old)
	}
	en := &policyEntry{key: h, packed: packed, selector: t.packs.Selector(packed)}
	id := t.pool.add(en)
	t.byKey.Add(h.sum(), id)
	reqs := en.selector.Requirements()
	en.filed = t.index.add(id, reqs)
	if len(e.locals) == 0 {
		return
	}
	e.identities.index.candidates(reqs, func(i uint32) {
		if l := e.identities.at(i).local; l != nil && en.selector.Match(l.labels) {
			e.applyPolicy(id, l)
			e.pending.identities[i] = struct{}{}
		}
	})
}

// applyPolicy notes that a policy selects the endpoints of a local identity.
func (e *ruleset) applyPolicy(id uint32, l *localIdentity) {
	l.applied = append(l.applied, id)
	en := e.policies.at(id)
	if en.applied++; en.policy == nil {
		en.policy = e.policies.packs.Unpack(en.packed)
	}
}

// releaseUnpacked forgets what a policy says that no local endpoint needs.
func (en *policyEntry) releaseUnpacked() {
	if en.applied == 0 && en.force == nil {
		en.policy = nil
	}
}

func (e *ruleset) dropPolicy(id uint32) {
	t := e.policies
	en := t.at(id)
	t.index.remove(id, en.filed)
	t.byKey.Remove(en.key.sum(), id)
	if len(e.locals) > 0 {
		e.identities.index.candidates(en.selector.Requirements(), func(i uint32) {
			if l := e.identities.at(i).local; l != nil && slices.Contains(l.applied, id) {
				l.applied = without(l.applied, id)
				e.pending.identities[i] = struct{}{}
			}
		})
	}
	if en.force == nil {
		t.forget(id)
	} else {
		e.pending.policies = append(e.pending.policies, id)
	}
}

// forget frees the number of a policy that is gone.
func (t *policyTable) forget(id uint32) {
	t.packs.Release(t.at(id).packed)
	t.pool.drop(id)
}

// joinIdentity counts one more local endpoint of an identity; the first one
// makes policies apply to it.
func (e *ruleset) joinIdentity(id uint32, l *local) {
	in := e.identities.at(id)
	if in.local != nil {
		in.local.endpoints = append(in.local.endpoints, l)
		return
	}
	labels := l.endpoint.Labels
	in.local = &localIdentity{labels: labels, endpoints: []*local{l}}
	e.policies.index.candidates(labels, func(p uint32) {
		if e.policies.at(p).selector.Match(labels) {
			e.applyPolicy(p, in.local)
		}
	})
	e.pending.identities[id] = struct{}{}
}

func (e *ruleset) leaveIdentity(id uint32, l *local) {
	in := e.identities.at(id)
	in.local.endpoints = slices.DeleteFunc(in.local.endpoints, func(o *local) bool { return o == l })
	if len(in.local.endpoints) > 0 {
		return
	}
	for _, p := range in.local.applied {
		en := e.policies.at(p)
		en.applied--
		en.releaseUnpacked()
	}
	// The policies are let go after those of other endpoints were taken up, so
	// that what both have in common stays.
	e.pending.released = append(e.pending.released, in.local.ordered...)
	in.local = nil
	delete(e.pending.identities, id)
}

// recomputePolicies puts the policies that apply to local endpoints into force and
// lets the others go.
func (e *ruleset) recomputePolicies() {
	if e.pending.tiers {
		e.pending.tiers = false
		for _, l := range e.locals {
			e.pending.identities[l.identity] = struct{}{}
		}
	}
	for _, id := range sortedKeys(e.pending.identities) {
		in := e.identities.at(id).local
		old := in.ordered
		in.ordered = e.enforced(in.applied)
		for _, p := range in.ordered {
			en := e.policies.at(p)
			if en.force == nil {
				en.force = e.compile(en.policy)
			}
			en.force.refs++
		}
		e.pending.released = append(e.pending.released, old...)
		for _, l := range in.endpoints {
			e.markPrograms(l)
		}
	}
	clear(e.pending.identities)
	e.recomputeProfiles()
}

// markPrograms notes that the programs of a local endpoint may change.
func (e *ruleset) markPrograms(l *local) {
	e.hosts.changed = e.hosts.changed || l.endpoint.Host != nil
	for _, a := range l.addrs {
		e.pending.addrs[a] = struct{}{}
	}
}

// releasePolicies lets go of policies that were in force.
func (e *ruleset) releasePolicies() {
	for _, p := range e.pending.released {
		en := e.policies.at(p)
		if en.force.refs--; en.force.refs > 0 {
			continue
		}
		e.releaseRules(en.force)
		en.force = nil
		en.releaseUnpacked()
	}
	e.pending.released = e.pending.released[:0]
	for _, p := range e.pending.policies {
		e.policies.forget(p)
	}
	e.pending.policies = e.pending.policies[:0]
	for _, f := range e.pending.profileRules {
		e.releaseRules(f)
	}
	e.pending.profileRules = e.pending.profileRules[:0]
}

// releaseRules lets go of rules that were in force.
func (e *ruleset) releaseRules(f *inForce) {
	for _, rules := range f.rules {
		for _, r := range rules {
			e.releaseRule(r)
		}
	}
}

// enforced returns those of the policies whose tier exists, as they are evaluated.
func (e *ruleset) enforced(applied []uint32) []uint32 {
	ids := make([]uint32, 0, len(applied))
	for _, id := range applied {
		if e.tiers[e.policies.at(id).policy.Tier] != nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		p, q := e.policies.at(a).policy, e.policies.at(b).policy
		if p.Tier != q.Tier {
			return policy.CompareTiers(e.tiers[p.Tier], e.tiers[q.Tier])
		}
		return policy.ComparePolicies(p, q)
	})
	return ids
}
