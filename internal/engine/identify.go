package engine

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// retainIdentity returns the identity of labels and ports, and counts one more
// endpoint of it.
func (e *selection) retainIdentity(labels selector.Labels, ports []policy.NamedPort) uint32 {
	t := e.identities
	if t.recent != 0 && len(labels) > 0 && len(labels) == len(t.recentLabels) && &labels[0] == &t.recentLabels[0] {
		// The same slice is the same labels, without a look at them.
		if in := t.at(t.recent); slices.Equal(in.ports, ports) {
			in.refs++
			return t.recent
		}
	}
	id := t.find(labels, ports)
	if id == 0 {
		id = e.addIdentity(labels, ports)
	}
	t.at(id).refs++
	t.recent, t.recentLabels = id, labels
	return id
}

// addIdentity makes an identity, without any endpoint.
func (e *selection) addIdentity(labels selector.Labels, ports []policy.NamedPort) uint32 {
	t := e.identities
	id := t.entries.Add()
	in := t.at(id)
	*in = identity{labels: make([]uint32, len(labels)), ports: ports}
	t.hashes = t.hashes[:0]
	for i, l := range labels {
		h := hashLabel(l.Key, l.Value)
		t.hashes = append(t.hashes, h)
		in.labels[i] = t.labels.retain(l, h)
	}
	t.byHash.Add(hashIdentity(in.labels, in.ports), id)
	t.index.addHashed(id, labels, t.hashes)
	for _, p := range ports {
		t.ports.add(hashPortName(p.Name), id)
	}
	e.selectors.index.candidates(labels, func(sel uint32) {
		if cs := e.selectors.at(sel); cs.selector.Match(labels) {
			cs.identities.Add(id)
			in.selectors = append(in.selectors, sel)
		}
	})
	return id
}

func (e *selection) releaseIdentity(id uint32) {
	t := e.identities
	in := t.at(id)
	if in.refs--; in.refs > 0 {
		return
	}
	t.index.remove(id, t.labelsOf(in))
	for _, p := range in.ports {
		t.ports.remove(hashPortName(p.Name), id)
	}
	for _, sel := range in.selectors {
		e.selectors.at(sel).identities.Remove(id)
	}
	t.byHash.Remove(hashIdentity(in.labels, in.ports), id)
	for _, l := range in.labels {
		t.labels.release(l)
	}
	if t.recent == id {
		t.recent, t.recentLabels = 0, nil
	}
	*in = identity{}
	t.entries.Drop(id)
}
