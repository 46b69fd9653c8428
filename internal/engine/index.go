package engine

import (
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
	// The few that are many come first: what is asked for most is among them.
	if m := ps.many[h]; m != nil {
		m.Add(id)
	} else if other, ok := ps.one[h]; !ok {
		ps.one[h] = id
	} else if other != id {
		delete(ps.one, h)
		ps.many[h] = roaring.BitmapOf(other, id)
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

// filing is where what a selector matches is found, and where the selector
// itself is filed: under the hashes of one requirement.
type filing struct {
	first uint64
	more  []uint64
	any   bool // under no requirement: the selector demands nothing
	none  bool // nowhere: the selector matches nothing
}

// sizeOf counts the ids under the hashes of a requirement.
func (ps postings) sizeOf(r selector.Requirement) int {
	if r.Values == nil {
		return ps.size(hashPresence(r.Key))
	}
	n := 0
	for _, v := range r.Values {
		n += ps.size(hashLabel(r.Key, v))
	}
	return n
}

// cheapest picks the requirement that the fewest ids meet.
func (ps postings) cheapest(reqs []selector.Requirement) filing {
	if len(reqs) == 0 {
		return filing{any: true}
	}
	best := reqs[0]
	if len(reqs) > 1 {
		least := ps.sizeOf(best)
		for _, r := range reqs[1:] {
			// At equal size a value says more than mere presence.
			if n := ps.sizeOf(r); n < least || n == least && best.Values == nil {
				best, least = r, n
			}
		}
	}
	if best.Values == nil {
		return filing{first: hashPresence(best.Key)}
	}
	if len(best.Values) == 0 {
		return filing{none: true}
	}
	f := filing{first: hashLabel(best.Key, best.Values[0])}
	for _, v := range best.Values[1:] {
		f.more = append(f.more, hashLabel(best.Key, v))
	}
	return f
}

// hashes visits what the filing names.
func (f *filing) hashes(visit func(h uint64)) {
	if f.any || f.none {
		return
	}
	visit(f.first)
	for _, h := range f.more {
		visit(h)
	}
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
	hashes := make([]uint64, len(ls))
	for i, l := range ls {
		hashes[i] = hashLabel(l.Key, l.Value)
	}
	x.addHashed(id, ls, hashes)
}

// addHashed puts a label set in whose labels have those hashes.
func (x *labelIndex) addHashed(id uint32, ls selector.Labels, hashes []uint64) {
	x.all.Add(id)
	for i, l := range ls {
		x.posts.add(hashes[i], id)
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

// candidates returns every label set that the selector with these requirements
// matches, and others.
func (x *labelIndex) candidates(reqs []selector.Requirement, yield func(id uint32)) {
	f := x.posts.cheapest(reqs)
	if f.any {
		x.all.Iterate(func(id uint32) bool { yield(id); return true })
		return
	}
	f.hashes(func(h uint64) { x.posts.each(h, yield) })
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

// add files a selector by its requirements and says where.
func (x *selectorIndex) add(id uint32, reqs []selector.Requirement) filing {
	f := x.posts.cheapest(reqs)
	if f.any {
		x.any.Add(id)
	}
	f.hashes(func(h uint64) { x.posts.add(h, id) })
	return f
}

func (x *selectorIndex) remove(id uint32, f filing) {
	if f.any {
		x.any.Remove(id)
	}
	f.hashes(func(h uint64) { x.posts.remove(h, id) })
}

// candidates returns every selector that matches the labels, and others; each once.
func (x *selectorIndex) candidates(ls selector.Labels, yield func(id uint32)) {
	x.any.Iterate(func(id uint32) bool { yield(id); return true })
	for _, l := range ls {
		x.posts.each(hashLabel(l.Key, l.Value), yield)
		x.posts.each(hashPresence(l.Key), yield)
	}
}
