package translate

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// updateRecord parses the new version of a pod or WorkloadEndpoint.
func (t *Translator) updateRecord(r *store.Resource, rejected []store.Finding) {
	before, was := t.recordStatus(r.Key)
	if h := t.step.held[r.Key]; h != nil {
		before = h.before
	}
	p, ps := t.parse(r)
	if len(ps) == 0 && p.endpoint == nil {
		ps.add("kind", "is not that of the object: expected a %s", r.Key.Kind)
	}
	t.setTrouble(r.Key, &trouble{rejected: rejected, invalid: ps.findings(r)})
	switch {
	case len(ps) == 0:
		t.put(r.Key, was, p.endpoint, r.Origin)
	case t.opts.Offline || was == 0:
		t.drop(r.Key, was)
	} // else the last valid version stays in force
	t.report(before)
}

// removeRecord forgets a pod or WorkloadEndpoint.
func (t *Translator) removeRecord(key policy.Key) {
	before, was := t.recordStatus(key)
	delete(t.troubles, key)
	if h := t.step.held[key]; h != nil {
		h.before = before
		t.drop(key, was)
		return
	}
	t.drop(key, was)
	t.report(before)
}

// rejectRecord notes what the store says of a pod or WorkloadEndpoint.
func (t *Translator) rejectRecord(key policy.Key, findings []store.Finding) {
	before, _ := t.recordStatus(key)
	tr := trouble{rejected: findings}
	if old := t.troubles[key]; old != nil {
		tr.invalid = old.invalid
	}
	t.setTrouble(key, &tr)
	t.report(before)
}

func (t *Translator) setTrouble(key policy.Key, tr *trouble) {
	if tr.isEmpty() {
		delete(t.troubles, key)
	} else {
		t.troubles[key] = tr
	}
}

// record returns the number of the record of a key, or 0.
func (t *Translator) record(key policy.Key) uint32 {
	if n := t.namespaces[key.Namespace]; n != nil {
		return t.endpoints.find(n, key.Kind, key.Name)
	}
	return 0
}

// recordStatus returns the status of a pod or WorkloadEndpoint, and its record.
func (t *Translator) recordStatus(key policy.Key) (Status, uint32) {
	id, tr := t.record(key), t.troubles[key]
	s := Status{Key: key}
	if tr != nil {
		s.Findings = slices.Concat(tr.rejected, tr.invalid)
	}
	acts := id != 0 && t.endpoints.records.At(id).governed()
	s.State = stateOf(id != 0 || tr != nil, id != 0, acts, s.Findings)
	return s, id
}

// put makes the record of a key say what the endpoint says, and gives out what
// that changes. was is the record, or 0.
func (t *Translator) put(key policy.Key, was uint32, e *endpoint, origin store.Origin) {
	tab := t.endpoints
	n := t.namespace(key.Namespace)
	id := was
	var old record
	if was != 0 {
		old = *tab.records.At(was)
	} else {
		id = tab.records.Add()
	}
	now := record{namespace: n.id, precedence: e.precedence}
	if key.Kind == policy.KindWorkloadEndpoint {
		now.form = isWorkload
	}
	now.form |= form(slices.Index(reasons[:], e.none)) << reasonShift
	now.node = tab.words.Retain(e.node)
	now.controller = t.holdController(n, e.controller, e.hash)
	tab.setName(&now, key.Name)
	visible := was == 0 || !slices.Equal(tab.addrs(was, &old), e.addrs) || tab.links[was] != e.iface ||
		old.node != now.node || old.precedence != now.precedence || old.form&reasonMask != now.form&reasonMask ||
		tab.ownerKey(old.controller) != tab.ownerKey(now.controller)
	if was != 0 {
		tab.dropAddrs(was, &old)
	}
	tab.setAddrs(id, &now, e.addrs)
	if e.none == "" {
		now.shape = tab.holdShape(e, key)
	}
	visible = visible || now.shape != old.shape
	if e.iface != "" {
		tab.links[id] = strings.Clone(e.iface)
	} else if was != 0 {
		delete(tab.links, id)
	}
	if was != 0 {
		tab.releaseParts(&old)
		*tab.records.At(id) = now
	} else {
		*tab.records.At(id) = now
		n.endpoints++
		tab.byKey.Add(hashRecord(now.form, n.id, hashName(key.Name)), id)
	}
	if t.opts.Offline {
		tab.origins[id], tab.hostAddrs[id] = origin, e.hostAddrs
	}
	wasOut := was != 0 && old.governed() || t.step.wasOut(key)
	switch {
	case !now.governed() && wasOut:
		t.step.change(policy.Change{Key: key})
	case now.governed() && (visible || !wasOut) && !t.settlesLater(&now):
		t.step.change(policy.Change{Key: key, Object: t.endpoint(id)})
	}
}

// drop forgets the record of a key, if there is one.
func (t *Translator) drop(key policy.Key, id uint32) {
	tab := t.endpoints
	if id == 0 {
		if h := t.step.held[key]; h != nil && h.out {
			h.out = false
			t.step.change(policy.Change{Key: key})
		}
		return
	}
	r := *tab.records.At(id)
	n := tab.namespaces[r.namespace]
	tab.byKey.Remove(hashRecord(r.form, n.id, hashName(key.Name)), id)
	n.endpoints--
	tab.dropAddrs(id, &r)
	tab.releaseParts(&r)
	delete(tab.links, id)
	delete(tab.origins, id)
	delete(tab.hostAddrs, id)
	*tab.records.At(id) = record{}
	tab.records.Drop(id)
	t.sweep(n)
	if r.governed() {
		t.step.gone(key)
	}
}

// releaseParts lets go of what a record shares with others.
func (t *endpointTable) releaseParts(r *record) {
	if r.form&nameMask == nameWord {
		t.words.Release(r.nameWord())
	}
	t.releaseController(r.controller)
	t.releaseShape(r.shape)
	t.words.Release(r.node)
}

// each visits all records.
func (t *endpointTable) each(visit func(id uint32, r *record)) {
	for id := uint32(1); id <= t.records.Numbers(); id++ {
		if r := t.records.At(id); r.namespace != 0 {
			visit(id, r)
		}
	}
}

// endpoint makes the endpoint of a record.
func (t *Translator) endpoint(id uint32) *policy.Endpoint {
	tab := t.endpoints
	r := tab.records.At(id)
	h := headOf(tab.shapes.At(r.shape))
	ep := &policy.Endpoint{
		Key:        tab.key(r),
		Node:       tab.words.At(r.node),
		Interface:  tab.links[id],
		Addrs:      tab.addrs(id, r),
		Labels:     t.joinedLabels(r),
		Ports:      tab.portLists[h.ports],
		Owner:      tab.ownerKey(r.controller),
		Precedence: r.precedence,
	}
	if h.ofNamespace {
		ep.Profile = namespaceProfile(ep.Key.Namespace)
	} else {
		ep.Profile = tab.words.At(h.profile)
	}
	return ep
}

// joinKey names what makes the labels of an endpoint.
type joinKey struct{ namespace, shape uint32 }

// joinedLabels returns all labels of a record's endpoint; within a step, those of
// equal endpoints are one list, unless they tell names.
func (t *Translator) joinedLabels(r *record) selector.Labels {
	key := joinKey{r.namespace, r.shape}
	if ls, found := t.step.labels[key]; found {
		return ls
	}
	shape := t.endpoints.shapes.At(r.shape)
	h := headOf(shape)
	words := t.endpoints.words
	var named bool
	t.own, named = t.endpoints.appendOwn(t.own[:0], shape, r)
	ls := t.labelsOf(t.endpoints.namespaces[r.namespace], words.At(h.account), words.At(h.orchestrator), t.own)
	if !named {
		t.step.labels[key] = ls
	}
	return ls
}

// labelsOf joins the labels of an endpoint: its own, and what its namespace and
// service account add.
func (t *Translator) labelsOf(n *namespace, account, orchestrator string, own selector.Labels) selector.Labels {
	var role, added selector.Labels
	if orchestrator != "" {
		role = selector.Labels{{Key: labelOrchestrator, Value: orchestrator}}
	}
	if account != "" {
		added = t.accountLabels(n, account)
	}
	return joinLabels(own, n.labels, role, added)
}
