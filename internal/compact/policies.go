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
	// What was asked for last: a policy says most things more than once.
	recentSelector, recentEntities uint32
	writer                         writer // space that is used again and again
}

// Packed is a policy that a Policies has packed. Packed forms of equal policies
// are equal, as long as the first is not released.
type Packed string

type selectorEntry struct {
	selector *selector.Selector
	refs     uint32
	hash     uint32 // of its text
}

type entitiesEntry struct {
	*policy.PeerSet
	selector uint32
	refs     uint32
}

// NewPolicies makes an empty set.
func NewPolicies() *Policies {
	s := &Policies{}
	s.writer.policies = s
	s.byText = NewIndex(func(id uint32) uint64 { return spread(s.selectors.At(id).hash) })
	s.byWhat = NewIndex(func(id uint32) uint64 {
		e := s.entities.At(id)
		return hashEntities(e.selector, e.PeerSet)
	})
	return s
}

// Len returns the numbers of selectors and of descriptions of peers that are held.
func (s *Policies) Len() (selectors, entities int) { return s.selectors.Len(), s.entities.Len() }

// holdSelector returns the number of a selector, and counts one use more.
func (s *Policies) holdSelector(sel *selector.Selector) uint32 {
	text := sel.String()
	if s.recentSelector != 0 {
		if e := s.selectors.At(s.recentSelector); e.selector == sel || e.selector.String() == text {
			e.refs++
			return s.recentSelector
		}
	}
	h := shortHash(text)
	id := s.byText.Find(spread(h), func(id uint32) bool {
		e := s.selectors.At(id)
		return e.hash == h && e.selector.String() == text
	})
	if id == 0 {
		id = s.selectors.Add()
		*s.selectors.At(id) = selectorEntry{selector: sel.Tight(), hash: h}
		s.byText.AddMissed(spread(h), id)
	}
	s.selectors.At(id).refs++
	s.recentSelector = id
	return id
}

func (s *Policies) releaseSelector(id uint32) {
	e := s.selectors.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	s.byText.Remove(spread(e.hash), id)
	if s.recentSelector == id {
		s.recentSelector = 0
	}
	*e = selectorEntry{}
	s.selectors.Drop(id)
}

func hashEntities(sel uint32, ent *policy.PeerSet) uint64 {
	h := uint64(sel) * 0x9e3779b97f4a7c15
	if ent.AsWritten != "" {
		h ^= maphash.String(seed, ent.AsWritten)
	}
	if ent.EndpointsOnly {
		h ^= h >> 31
	}
	if ent.DNSLearned {
		h ^= h >> 29
	}
	if ent.Internal {
		h ^= h >> 27
	}
	return h * 0x9e3779b97f4a7c15
}

func (s *Policies) holdEntities(ent *policy.PeerSet) uint32 {
	sel := s.holdSelector(ent.Selector)
	same := func(id uint32) bool {
		e := s.entities.At(id)
		return e.selector == sel && e.EndpointsOnly == ent.EndpointsOnly && e.DNSLearned == ent.DNSLearned && e.Internal == ent.Internal && e.AsWritten == ent.AsWritten
	}
	if id := s.recentEntities; id != 0 && same(id) {
		s.selectors.At(sel).refs-- // the entry holds it already
		s.entities.At(id).refs++
		return id
	}
	h := hashEntities(sel, ent)
	id := s.byWhat.Find(h, same)
	if id != 0 {
		s.selectors.At(sel).refs-- // the entry holds it already
	} else {
		kept := ent
		if tight := s.selectors.At(sel).selector; tight != ent.Selector {
			k := *ent
			k.Selector = tight
			kept = &k
		}
		id = s.entities.Add()
		*s.entities.At(id) = entitiesEntry{PeerSet: kept, selector: sel}
		s.byWhat.AddMissed(h, id)
	}
	s.entities.At(id).refs++
	s.recentEntities = id
	return id
}

func (s *Policies) releaseEntities(id uint32) {
	e := s.entities.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	s.byWhat.Remove(hashEntities(e.selector, e.PeerSet), id)
	s.releaseSelector(e.selector)
	if s.recentEntities == id {
		s.recentEntities = 0
	}
	*e = entitiesEntry{}
	s.entities.Drop(id)
}
