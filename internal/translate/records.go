package translate

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// update parses the new version of a pod or WorkloadEndpoint.
func (t *endpointTable) update(r *store.Resource, rejected []store.Finding) {
	before, was := t.status(r.Key)
	if h := t.step.readded[r.Key]; h != nil {
		before = h.before
	}
	p, ps := source.Parse(r, t.offline)
	errs := &objectErrors{rejected: rejected, invalid: ps.Findings(r)}
	if old := t.errors[r.Key]; old != nil {
		errs.unjoined = old.unjoined
	}
	t.setErrors(r.Key, errs)
	switch {
	case len(ps) == 0:
		t.put(r.Key, was, p.Endpoint, r.Origin)
	case t.offline || was == 0:
		t.drop(r.Key, was)
	} // else the last valid version stays in force
	t.checkProfiles(r.Key, t.record(r.Key))
	t.report(before)
}

// remove forgets a pod or WorkloadEndpoint.
func (t *endpointTable) remove(key policy.Key) {
	before, was := t.status(key)
	t.setErrors(key, nil)
	if h := t.step.readded[key]; h != nil {
		h.before = before
		t.drop(key, was)
		return
	}
	t.drop(key, was)
	t.report(before)
}

// reject notes what the store could not read of a pod or WorkloadEndpoint.
func (t *endpointTable) reject(key policy.Key, findings []store.Finding) {
	before, _ := t.status(key)
	errs := objectErrors{rejected: findings}
	if old := t.errors[key]; old != nil {
		errs.invalid, errs.unjoined = old.invalid, old.unjoined
	}
	t.setErrors(key, &errs)
	t.report(before)
}

func (t *endpointTable) setErrors(key policy.Key, errs *objectErrors) {
	_, was := t.errors[key]
	switch now := !errs.isEmpty(); {
	case now:
		if t.errors[key] = errs; !was {
			t.namespaces.count(key.Namespace, wrongIn, 1)
		}
	case was:
		delete(t.errors, key)
		t.namespaces.count(key.Namespace, wrongIn, -1)
	}
}

// report reports the status of what was before in that one.
func (t *endpointTable) report(before Status) {
	now, _ := t.status(before.Key)
	t.statuses.report(before, now)
}

// record returns the number of the record of a key, or 0.
func (t *endpointTable) record(key policy.Key) uint32 {
	if n := t.namespaces.byName[key.Namespace]; n != nil {
		return t.find(n, key.Kind, key.Name)
	}
	return 0
}

// status returns the status of a pod or WorkloadEndpoint, and its record.
func (t *endpointTable) status(key policy.Key) (Status, uint32) {
	id, errs := t.record(key), t.errors[key]
	s := Status{Key: key}
	if errs != nil {
		s.Findings = slices.Concat(errs.rejected, errs.invalid, errs.unjoined)
	}
	acts := id != 0 && t.records.At(id).managed()
	s.State = stateOf(id != 0 || errs != nil, id != 0, acts, s.Findings)
	return s, id
}

// put makes the record of a key say what the endpoint says, and emits what
// that changes. was is the record, or 0.
func (t *endpointTable) put(key policy.Key, was uint32, e *source.Endpoint, origin store.Origin) {
	n := t.namespaces.get(key.Namespace)
	id := was
	var old record
	if was != 0 {
		old = *t.records.At(was)
	} else {
		id = t.records.Add()
	}
	now := record{namespace: n.id, precedence: e.Precedence}
	if key.Kind == policy.KindWorkloadEndpoint {
		now.form = isWorkload
	}
	now.form |= form(slices.Index(reasons[:], e.Unmanaged)) << reasonShift
	now.node = t.words.Retain(e.Node)
	now.controller = t.retainController(n, e.Controller, e.TemplateHash)
	t.setName(&now, key.Name)
	visible := was == 0 || !slices.Equal(t.addrs(was, &old), e.Addrs) || t.links[was] != e.Interface ||
		old.node != now.node || old.precedence != now.precedence || old.form&reasonMask != now.form&reasonMask ||
		t.ownerKey(old.controller) != t.ownerKey(now.controller)
	if was != 0 {
		t.dropAddrs(was, &old)
	}
	t.setAddrs(id, &now, e.Addrs)
	if e.Unmanaged == "" {
		now.podTemplateKey = t.retainPodTemplateKey(e, key)
	}
	visible = visible || now.podTemplateKey != old.podTemplateKey
	if e.Interface != "" {
		t.links[id] = strings.Clone(e.Interface)
	} else if was != 0 {
		delete(t.links, id)
	}
	if was != 0 {
		t.releaseParts(&old)
		*t.records.At(id) = now
	} else {
		*t.records.At(id) = now
		n.endpoints++
		t.byKey.Add(hashRecord(now.form, n.id, hashName(key.Name)), id)
	}
	if t.offline {
		t.hostAddrs[id] = e.HostAddrs
	}
	if t.offline || t.profileListOf(&now) != 0 {
		t.origins[id] = origin
	} else if was != 0 {
		delete(t.origins, id)
	}
	wasInModel := was != 0 && old.managed() || t.step.wasInModel(key)
	switch {
	case !now.managed() && wasInModel:
		t.step.change(policy.Change{Key: key})
	case now.managed() && (visible || !wasInModel) && !t.isEmittedLater(&now):
		t.step.change(policy.Change{Key: key, Object: t.endpoint(id)})
	}
}

// drop forgets the record of a key, if there is one.
func (t *endpointTable) drop(key policy.Key, id uint32) {
	if id == 0 {
		if h := t.step.readded[key]; h != nil && h.wasInModel {
			h.wasInModel = false
			t.step.change(policy.Change{Key: key})
		}
		return
	}
	r := *t.records.At(id)
	n := t.namespaces.at(r.namespace)
	t.byKey.Remove(hashRecord(r.form, n.id, hashName(key.Name)), id)
	n.endpoints--
	t.dropAddrs(id, &r)
	t.releaseParts(&r)
	delete(t.links, id)
	delete(t.origins, id)
	delete(t.hostAddrs, id)
	*t.records.At(id) = record{}
	t.records.Drop(id)
	t.namespaces.dropIfUnused(n)
	if r.managed() {
		t.step.gone(key)
	}
}

// releaseParts lets go of what a record shares with others.
func (t *endpointTable) releaseParts(r *record) {
	if r.form&nameMask == nameWord {
		t.words.Release(r.nameWord())
	}
	t.releaseController(r.controller)
	t.releasePodTemplateKey(r.podTemplateKey)
	t.words.Release(r.node)
}
