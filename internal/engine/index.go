package engine

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/selector"
)

// postings maps hashes to sets of ids. Most sets have one id, which needs no bitmap.
type postings struct {
	one  map[uint64]uint32
	many map[uint64]*roaring.Bitmap
}

func newPostings() postings {
	return postings{one: map[uint64]uint32{}, many: map[uint64]*roaring.Bitmap{}}
}

func (ps postings) add(h uint64, id uint32) {
	if other, ok := ps.one[h]; ok {
		if other != id {
			delete(ps.one, h)
			ps.many[h] = roaring.BitmapOf(other, id)
		}
	} else if m := ps.many[h]; m != nil {
		m.Add(id)
	} else {
		ps.one[h] = id
	}
}

func (ps postings) remove(h uint64, id uint32) {
	if m := ps.many[h]; m != nil {
		if m.Remove(id); m.GetCardinality() == 1 {
			delete(ps.many, h)
			ps.one[h] = m.Minimum()
		}
	} else if ps.one[h] == id {
		delete(ps.one, h)
	}
}

func (ps postings) size(h uint64) int {
	if m := ps.many[h]; m != nil {
		return int(m.GetCardinality())
	}
	if _, ok := ps.one[h]; ok {
		return 1
	}
	return 0
}

func (ps postings) each(h uint64, yield func(id uint32)) {
	if id, ok := ps.one[h]; ok {
		yield(id)
	} else if m := ps.many[h]; m != nil {
		m.Iterate(func(id uint32) bool { yield(id); return true })
	}
}

// hashes gives the postings in which everything that meets the requirement is.
func hashes(r selector.Requirement) []uint64 {
	if r.Values == nil {
		return []uint64{hashPresence(r.Key)}
	}
	hs := make([]uint64, len(r.Values))
	for i, v := range r.Values {
		hs[i] = hashLabel(r.Key, v)
	}
	return hs
}

// cheapest picks the requirement that the fewest ids meet, and gives its
// hashes. any is true where the selector requires nothing.
func (ps postings) cheapest(reqs []selector.Requirement) (best []uint64, any bool) {
	least := -1
	for _, r := range reqs {
		hs := hashes(r)
		size := 0
		for _, h := range hs {
			size += ps.size(h)
		}
		// At equal size a value says more than mere presence.
		if least < 0 || size < least || size == least && r.Values != nil {
			best, least = hs, size
		}
	}
	return best, least < 0
}

// labelIndex finds the label sets that a selector could match.
type labelIndex struct {
	posts postings
	all   *roaring.Bitmap
}

func newLabelIndex() labelIndex {
	return labelIndex{posts: newPostings(), all: roaring.New()}
}

func (x *labelIndex) add(id uint32, ls selector.Labels) {
	x.all.Add(id)
	for _, l := range ls {
		x.posts.add(hashLabel(l.Key, l.Value), id)
		x.posts.add(hashPresence(l.Key), id)
	}
}

func (x *labelIndex) remove(id uint32, ls selector.Labels) {
	x.all.Remove(id)
	for _, l := range ls {
		x.posts.remove(hashLabel(l.Key, l.Value), id)
		x.posts.remove(hashPresence(l.Key), id)
	}
}

// candidates gives every label set that the selector matches, and others.
func (x *labelIndex) candidates(s *selector.Selector, yield func(id uint32)) {
	hs, any := x.posts.cheapest(s.Requirements())
	if any {
		x.all.Iterate(func(id uint32) bool { yield(id); return true })
		return
	}
	for _, h := range hs {
		x.posts.each(h, yield)
	}
}

// selectorIndex finds the selectors that could match a label set. Each selector
// is filed under one of its requirements, the one least used so far, so that
// no list grows long that can be kept short.
type selectorIndex struct {
	posts postings
	any   *roaring.Bitmap // selectors that require nothing
}

func newSelectorIndex() selectorIndex {
	return selectorIndex{posts: newPostings(), any: roaring.New()}
}

// filing is where a selector is filed.
type filing struct {
	first uint64
	more  []uint64
	any   bool // under no requirement
	none  bool // nowhere: it matches nothing
}

func (x *selectorIndex) add(id uint32, s *selector.Selector) filing {
	hs, any := x.posts.cheapest(s.Requirements())
	switch {
	case any:
		x.any.Add(id)
		return filing{any: true}
	case len(hs) == 0:
		return filing{none: true}
	}
	for _, h := range hs {
		x.posts.add(h, id)
	}
	return filing{first: hs[0], more: slices.Clone(hs[1:])}
}

func (x *selectorIndex) remove(id uint32, f filing) {
	switch {
	case f.any:
		x.any.Remove(id)
		return
	case f.none:
		return
	}
	x.posts.remove(f.first, id)
	for _, h := range f.more {
		x.posts.remove(h, id)
	}
}

// candidates gives every selector that matches the labels, and others; each once.
func (x *selectorIndex) candidates(ls selector.Labels, yield func(id uint32)) {
	x.any.Iterate(func(id uint32) bool { yield(id); return true })
	for _, l := range ls {
		x.posts.each(hashLabel(l.Key, l.Value), yield)
		x.posts.each(hashPresence(l.Key), yield)
	}
}
