package translate

import (
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// each visits all records.
func (t *endpointTable) each(visit func(id uint32, r *record)) {
	for id := uint32(1); id <= t.records.Numbers(); id++ {
		if r := t.records.At(id); r.namespace != 0 {
			visit(id, r)
		}
	}
}

// endpoint makes the endpoint of a record.
func (t *endpointTable) endpoint(id uint32) *policy.Endpoint {
	r := t.records.At(id)
	h := headOf(t.podTemplateKeys.At(r.podTemplateKey))
	ep := &policy.Endpoint{
		Key:        t.key(r),
		Node:       t.words.At(r.node),
		Interface:  t.links[id],
		Addrs:      t.addrs(id, r),
		Labels:     t.joinedLabels(r),
		Ports:      t.portLists[h.ports],
		Owner:      t.ownerKey(r.controller),
		Precedence: r.precedence,
	}
	if h.ofNamespace {
		ep.Profiles = t.namespaces.at(r.namespace).profiles
	} else {
		ep.Profiles = t.profileLists[h.profiles]
	}
	return ep
}

// joinKey names what makes the labels of an endpoint.
type joinKey struct{ namespace, podTemplateKey uint32 }

// joinedLabels returns all labels of a record's endpoint; within a step, those of
// equal endpoints are one list, unless they tell names.
func (t *endpointTable) joinedLabels(r *record) selector.Labels {
	key := joinKey{r.namespace, r.podTemplateKey}
	if ls, found := t.step.labels[key]; found {
		return ls
	}
	podTemplateKey := t.podTemplateKeys.At(r.podTemplateKey)
	h := headOf(podTemplateKey)
	words := t.words
	var named bool
	t.own, named = t.appendOwn(t.own[:0], podTemplateKey, r)
	ls := t.namespaces.labelsOf(t.namespaces.at(r.namespace), words.At(h.account), words.At(h.orchestrator), t.own)
	if names := t.profileLists[h.profiles]; len(names) > 0 {
		ls = source.JoinProfileLabels(ls, t.profiles.labels(names)...)
	}
	if !named {
		t.step.labels[key] = ls
	}
	return ls
}
