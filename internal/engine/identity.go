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

	selectors        []uint32 // the selectors that match the labels
	equivalenceCells []uint32 // the equivalence cells whose addresses it holds

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
