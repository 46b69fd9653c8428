package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// identity is what policy can tell endpoints apart by, addresses aside: their
// labels and named ports. Endpoints with equal ones share it. A cluster has very
// many, most of them of workloads elsewhere.
type identity struct {
	labels []uint32 // see labelTable
	ports  []policy.NamedPort
	refs   int // endpoints

	terms []uint32 // the terms that match the labels
	atoms []uint32 // the atoms whose addresses it holds

	local *localIdentity // of identities of local endpoints only
}

// localIdentity is what is known of an identity that local endpoints have.
type localIdentity struct {
	labels    selector.Labels
	endpoints []*local // those that have an address; at least one
	applied   []uint32 // the policies whose selector matches, in no order
	ordered   []uint32 // those in force, as they are evaluated, since the last flush
}

type identityTable struct {
	entries compact.Slab[identity]
	byHash  compact.Index
	labels  *labelTable
	index   labelIndex
	ports   postings // by port name

	// The identity that was asked for last, and by which labels: endpoints of one
	// often come together.
	recent       uint32
	recentLabels selector.Labels

	scratch []uint32
	hashes  []uint64
	read    selector.Labels
}

func newIdentityTable() *identityTable {
	t := &identityTable{labels: newLabelTable(), index: newLabelIndex(), ports: newPostings()}
	t.byHash = compact.NewIndex(func(id uint32) uint64 {
		in := t.at(id)
		return hashIdentity(in.labels, in.ports)
	})
	return t
}

func (t *identityTable) at(id uint32) *identity { return t.entries.At(id) }

// each visits the identities whose numbers are in the bitmap.
func (t *identityTable) each(ids *roaring.Bitmap, visit func(in *identity)) {
	ids.Iterate(func(id uint32) bool {
		visit(t.at(id))
		return true
	})
}

// labelsOf returns the labels of an identity, in space that the next call uses again.
func (t *identityTable) labelsOf(in *identity) selector.Labels {
	t.read = t.read[:0]
	for _, l := range in.labels {
		t.read = append(t.read, t.labels.at(l))
	}
	return t.read
}

// holdIdentity returns the identity of labels and ports, and counts one more
// endpoint of it.
func (e *Engine) holdIdentity(labels selector.Labels, ports []policy.NamedPort) uint32 {
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

// find returns the identity of labels and ports, or 0.
func (t *identityTable) find(labels selector.Labels, ports []policy.NamedPort) uint32 {
	ids := t.scratch[:0]
	for _, l := range labels {
		id := t.labels.find(l)
		if id == 0 {
			return 0
		}
		ids = append(ids, id)
	}
	t.scratch = ids
	return t.byHash.Find(hashIdentity(ids, ports), func(id uint32) bool {
		in := t.at(id)
		return slices.Equal(in.labels, ids) && slices.Equal(in.ports, ports)
	})
}

// addIdentity makes an identity, without any endpoint.
func (e *Engine) addIdentity(labels selector.Labels, ports []policy.NamedPort) uint32 {
	t := e.identities
	id := t.entries.Add()
	in := t.at(id)
	*in = identity{labels: make([]uint32, len(labels)), ports: ports}
	t.hashes = t.hashes[:0]
	for i, l := range labels {
		h := hashLabel(l.Key, l.Value)
		t.hashes = append(t.hashes, h)
		in.labels[i] = t.labels.hold(l, h)
	}
	t.byHash.Add(hashIdentity(in.labels, in.ports), id)
	t.index.addHashed(id, labels, t.hashes)
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
	t.index.remove(id, t.labelsOf(in))
	for _, p := range in.ports {
		t.ports.remove(hashPortName(p.Name), id)
	}
	for _, term := range in.terms {
		e.terms.at(term).identities.Remove(id)
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

// without removes the first v from the list; order is not kept.
func without(list []uint32, v uint32) []uint32 {
	if i := slices.Index(list, v); i >= 0 {
		list[i] = list[len(list)-1]
		return list[:len(list)-1]
	}
	return list
}
