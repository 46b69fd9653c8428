package engine

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/selector"
)

// postings maps hashes to sets of ids. Most sets have one id, which needs no bitmap.
type postings map[uint64]posting

type posting struct {
	one  uint32
	many *roaring.Bitmap // nil: the set is {one}
}

func (ps postings) add(h uint64, id uint32) {
	p, ok := ps[h]
	switch {
	case !ok:
		ps[h] = posting{one: id}
	case p.many != nil:
		p.many.Add(id)
	case p.one != id:
		ps[h] = posting{many: roaring.BitmapOf(p.one, id)}
	}
}

func (ps postings) remove(h uint64, id uint32) {
	p, ok := ps[h]
	switch {
	case !ok:
	case p.many == nil:
		if p.one == id {
			delete(ps, h)
		}
	default:
		if p.many.Remove(id); p.many.GetCardinality() == 1 {
			ps[h] = posting{one: p.many.Minimum()}
		}
	}
}

func (ps postings) size(h uint64) int {
	p, ok := ps[h]
	switch {
	case !ok:
		return 0
	case p.many == nil:
		return 1
	}
	return int(p.many.GetCardinality())
}

func (ps postings) each(h uint64, yield func(id uint32)) {
	p, ok := ps[h]
	switch {
	case !ok:
	case p.many == nil:
		yield(p.one)
	default:
		p.many.Iterate(func(id uint32) bool { yield(id); return true })
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
	return labelIndex{posts: postings{}, all: roaring.New()}
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
	return selectorIndex{posts: postings{}, any: roaring.New()}
}

// add files a selector and gives the hashes to remove it by.
func (x *selectorIndex) add(id uint32, s *selector.Selector) []uint64 {
	hs, any := x.posts.cheapest(s.Requirements())
	if any {
		x.any.Add(id)
	}
	for _, h := range hs {
		x.posts.add(h, id)
	}
	return hs
}

func (x *selectorIndex) remove(id uint32, filed []uint64) {
	x.any.Remove(id)
	for _, h := range filed {
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
