package engine

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// identity is what policy can tell endpoints apart by, addresses aside: their
// labels and named ports. Endpoints with equal ones share it.
type identity struct {
	labels selector.Labels
	ports  []policy.NamedPort
	hash   uint64
	refs   int // endpoints

	terms []uint32 // the terms that match the labels
	atoms []uint32 // the atoms whose addresses it holds

	local *localIdentity // of identities of local endpoints only
}

// localIdentity is what is known of an identity that local endpoints have.
type localIdentity struct {
	endpoints []*local // those that have an address; at least one
	applied   []uint32 // the policies whose selector matches, in no order
	ordered   []uint32 // those in force, as they are evaluated, since the last flush
}

type identityTable struct {
	pool   pool[identity]
	byHash hashIndex
	index  labelIndex
	ports  postings // by port name
	recent uint32   // the identity that was asked for last: endpoints of one often come together
}

func newIdentityTable() *identityTable {
	t := &identityTable{index: newLabelIndex(), ports: newPostings()}
	t.byHash = newHashIndex(func(id uint32) uint64 { return t.at(id).hash })
	return t
}

func (t *identityTable) at(id uint32) *identity { return t.pool.at(id) }

// hold gives the identity of labels and ports, and counts one more endpoint of it.
func (e *Engine) holdIdentity(labels selector.Labels, ports []policy.NamedPort) uint32 {
	t := e.identities
	if t.recent != 0 && len(labels) > 0 && len(ports) == 0 {
		// The same slice is the same labels, without a look at them.
		in := t.at(t.recent)
		if len(in.labels) == len(labels) && &in.labels[0] == &labels[0] && len(in.ports) == 0 {
			in.refs++
			return t.recent
		}
	}
	h := hashIdentity(labels, ports)
	if id := t.byHash.find(h, func(id uint32) bool {
		in := t.at(id)
		return in.hash == h && slices.Equal(in.labels, labels) && slices.Equal(in.ports, ports)
	}); id != 0 {
		t.at(id).refs++
		t.recent = id
		return id
	}
	in := &identity{labels: labels, ports: ports, hash: h, refs: 1}
	id := t.pool.add(in)
	t.byHash.add(h, id)
	t.recent = id
	t.index.add(id, labels)
	for _, p := range ports {
		t.ports.add(hashPortName(p.Name), id)
	}
	e.terms.index.candidates(labels, func(term uint32) {
		if tm := e.terms.at(term); tm.selector.Match(labels) {
			tm.identities.Add(id)
			in.terms = append(in.terms, term)
		}
	})
	return id
}

func (e *Engine) releaseIdentity(id uint32) {
	t := e.identities
	in := t.at(id)
	if in.refs--; in.refs > 0 {
		return
	}
	t.index.remove(id, in.labels)
	for _, p := range in.ports {
		t.ports.remove(hashPortName(p.Name), id)
	}
	for _, term := range in.terms {
		e.terms.at(term).identities.Remove(id)
	}
	t.byHash.remove(in.hash, id)
	if t.recent == id {
		t.recent = 0
	}
	t.pool.drop(id)
}

// without removes the first v from the list; order is not kept.
func without(list []uint32, v uint32) []uint32 {
	if i := slices.Index(list, v); i >= 0 {
		list[i] = list[len(list)-1]
		return list[:len(list)-1]
	}
	return list
}
