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
	h := headOf(t.shapes.At(r.shape))
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
		ep.Profile = source.NamespaceProfile(ep.Key.Namespace)
	} else {
		ep.Profile = t.words.At(h.profile)
	}
	return ep
}

// joinKey names what makes the labels of an endpoint.
type joinKey struct{ namespace, shape uint32 }

// joinedLabels returns all labels of a record's endpoint; within a step, those of
// equal endpoints are one list, unless they tell names.
func (t *endpointTable) joinedLabels(r *record) selector.Labels {
	key := joinKey{r.namespace, r.shape}
	if ls, found := t.step.labels[key]; found {
		return ls
	}
	shape := t.shapes.At(r.shape)
	h := headOf(shape)
	words := t.words
	var named bool
	t.own, named = t.appendOwn(t.own[:0], shape, r)
	ls := t.namespaces.labelsOf(t.namespaces.at(r.namespace), words.At(h.account), words.At(h.orchestrator), t.own)
	if !named {
		t.step.labels[key] = ls
	}
	return ls
}
