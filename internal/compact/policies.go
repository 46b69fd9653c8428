package compact

import (
	"hash/maphash"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Policies packs policies into few bytes: a cluster has thousands of which a node
// needs a few. Selectors and what they say of peers are kept once for all
// policies, and are the same objects in whatever was unpacked.
type Policies struct {
	selectors Slab[selectorEntry]
	byText    Index
	entities  Slab[entitiesEntry]
	byWhat    Index
}

// Packed is a policy that a Policies has packed. Packed forms of equal policies
// are equal, as long as the first is not released.
type Packed string

type selectorEntry struct {
	selector *selector.Selector
	refs     uint32
}

type entitiesEntry struct {
	*policy.Entities
	selector uint32
	refs     uint32
}

// NewPolicies makes an empty set.
func NewPolicies() *Policies {
	s := &Policies{}
	s.byText = NewIndex(func(id uint32) uint64 { return maphash.String(seed, s.selectors.At(id).selector.String()) })
	s.byWhat = NewIndex(func(id uint32) uint64 {
		e := s.entities.At(id)
		return hashEntities(e.selector, e.Entities)
	})
	return s
}

// Len gives the numbers of selectors and of descriptions of peers that are held.
func (s *Policies) Len() (selectors, entities int) { return s.selectors.Len(), s.entities.Len() }

// holdSelector gives the number of a selector, and counts one use more.
func (s *Policies) holdSelector(sel *selector.Selector) uint32 {
	text := sel.String()
	h := maphash.String(seed, text)
	id := s.byText.Find(h, func(id uint32) bool { return s.selectors.At(id).selector.String() == text })
	if id == 0 {
		id = s.selectors.Add()
		*s.selectors.At(id) = selectorEntry{selector: sel.Tight()}
		s.byText.AddMissed(h, id)
	}
	s.selectors.At(id).refs++
	return id
}

func (s *Policies) releaseSelector(id uint32) {
	e := s.selectors.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	s.byText.Remove(maphash.String(seed, e.selector.String()), id)
	*e = selectorEntry{}
	s.selectors.Drop(id)
}

func hashEntities(sel uint32, ent *policy.Entities) uint64 {
	h := maphash.String(seed, ent.Text) ^ uint64(sel)*0x9e3779b97f4a7c15
	if ent.EndpointsOnly {
		h ^= h >> 31
	}
	if ent.Learned {
		h ^= h >> 29
	}
	return h * 0x9e3779b97f4a7c15
}

func (s *Policies) holdEntities(ent *policy.Entities) uint32 {
	sel := s.holdSelector(ent.Selector)
	h := hashEntities(sel, ent)
	id := s.byWhat.Find(h, func(id uint32) bool {
		e := s.entities.At(id)
		return e.selector == sel && e.EndpointsOnly == ent.EndpointsOnly && e.Learned == ent.Learned && e.Text == ent.Text
	})
	if id != 0 {
		s.releaseSelector(sel) // the entry holds it already
	} else {
		kept := ent
		if tight := s.selectors.At(sel).selector; tight != ent.Selector {
			k := *ent
			k.Selector = tight
			kept = &k
		}
		id = s.entities.Add()
		*s.entities.At(id) = entitiesEntry{Entities: kept, selector: sel}
		s.byWhat.AddMissed(h, id)
	}
	s.entities.At(id).refs++
	return id
}

func (s *Policies) releaseEntities(id uint32) {
	e := s.entities.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	s.byWhat.Remove(hashEntities(e.selector, e.Entities), id)
	s.releaseSelector(e.selector)
	*e = entitiesEntry{}
	s.entities.Drop(id)
}
