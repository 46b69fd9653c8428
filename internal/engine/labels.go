package engine

import (
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/selector"
)

// labelTable keeps each label that identities have once, under a number.
type labelTable struct {
	entries compact.Slab[labelEntry]
	index   compact.Index
}

type labelEntry struct {
	selector.Label
	refs uint32
	hash uint32 // so that an index that grows need not look at the texts again
}

func newLabelTable() *labelTable {
	t := &labelTable{}
	t.index = compact.NewIndex(func(id uint32) uint64 { return spread(t.entries.At(id).hash) })
	return t
}

func hashOf(l selector.Label) uint32 { return shorten(hashLabel(l.Key, l.Value)) }

// shorten makes of the hash of a label the one of which an entry has room.
func shorten(h uint64) uint32 { return uint32(h >> 32) }

// spread makes of a short hash one for an index.
func spread(h uint32) uint64 { return uint64(h)<<32 | uint64(h) }

func (t *labelTable) at(id uint32) selector.Label { return t.entries.At(id).Label }

// find returns the number of a label, or 0.
func (t *labelTable) find(l selector.Label) uint32 { return t.findHash(hashOf(l), l) }

func (t *labelTable) findHash(h uint32, l selector.Label) uint32 {
	return t.index.Find(spread(h), func(id uint32) bool {
		e := t.entries.At(id)
		return e.hash == h && e.Value == l.Value && e.Key == l.Key
	})
}

// retain returns the number of a label of that hash, and counts one use more.
func (t *labelTable) retain(l selector.Label, hash uint64) uint32 {
	h := shorten(hash)
	id := t.findHash(h, l)
	if id == 0 {
		id = t.entries.Add()
		*t.entries.At(id) = labelEntry{Label: l, hash: h}
		t.index.Add(spread(h), id)
	}
	t.entries.At(id).refs++
	return id
}

func (t *labelTable) release(id uint32) {
	e := t.entries.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	t.index.Remove(spread(e.hash), id)
	*e = labelEntry{}
	t.entries.Drop(id)
}
