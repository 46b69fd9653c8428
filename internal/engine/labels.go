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
}

func newLabelTable() *labelTable {
	t := &labelTable{}
	t.index = compact.NewIndex(func(id uint32) uint64 { return hashOf(t.at(id)) })
	return t
}

func hashOf(l selector.Label) uint64 { return hashLabel(l.Key, l.Value) }

func (t *labelTable) at(id uint32) selector.Label { return t.entries.At(id).Label }

// find gives the number of a label, or 0.
func (t *labelTable) find(l selector.Label) uint32 { return t.findHash(hashOf(l), l) }

func (t *labelTable) findHash(h uint64, l selector.Label) uint32 {
	return t.index.Find(h, func(id uint32) bool {
		e := t.entries.At(id)
		return e.Value == l.Value && e.Key == l.Key
	})
}

// hold gives the number of a label, and counts one use more.
func (t *labelTable) hold(l selector.Label) uint32 {
	h := hashOf(l)
	id := t.findHash(h, l)
	if id == 0 {
		id = t.entries.Add()
		*t.entries.At(id) = labelEntry{Label: l}
		t.index.AddMissed(h, id)
	}
	t.entries.At(id).refs++
	return id
}

func (t *labelTable) release(id uint32) {
	e := t.entries.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	t.index.Remove(hashOf(e.Label), id)
	*e = labelEntry{}
	t.entries.Drop(id)
}
