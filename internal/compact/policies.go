package compact

import (
	"hash/maphash"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Policies packs policies into few bytes: a cluster has thousands of which a node
// needs a few. Selectors and peer sets are kept once for all policies, and are the
// same objects in whatever was unpacked.
type Policies struct {
	selectors Slab[selectorEntry]
	byText    Index
	peerSets  Slab[peerSetEntry]
	byPeerSet Index
	// What was asked for last: a policy says most things more than once.
	recentSelector, recentPeerSet uint32
	writer                        writer // space that is used again and again
}

// Packed is a policy that a Policies has packed. Packed forms of equal policies
// are equal, as long as the first is not released.
type Packed string

type selectorEntry struct {
	selector *selector.Selector
	refs     uint32
	hash     uint32 // of its text
}

type peerSetEntry struct {
	set      *policy.PeerSet
	selector uint32
	refs     uint32
}

// NewPolicies makes an empty set.
func NewPolicies() *Policies {
	s := &Policies{}
	s.writer.policies = s
	s.byText = NewIndex(func(id uint32) uint64 { return spread(s.selectors.At(id).hash) })
	s.byPeerSet = NewIndex(func(id uint32) uint64 { return hashPeerSet(s.peerSets.At(id).set) })
	return s
}

// Len returns the numbers of selectors and of peer sets that are kept.
func (s *Policies) Len() (selectors, peerSets int) { return s.selectors.Len(), s.peerSets.Len() }

// retainSelector returns the number of a selector, and counts one use more.
func (s *Policies) retainSelector(sel *selector.Selector) uint32 {
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
		*s.selectors.At(id) = selectorEntry{selector: sel.Compact(), hash: h}
		s.byText.Add(spread(h), id)
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

// retainPeerSet returns the number of a peer set, and counts one use more. Two are
// one if all fields are equal, their selectors by what they select.
func (s *Policies) retainPeerSet(set *policy.PeerSet) uint32 {
	sel := s.retainSelector(set.Selector)
	key := *set
	key.Selector = s.selectors.At(sel).selector
	if id := s.recentPeerSet; id != 0 && *s.peerSets.At(id).set == key {
		s.selectors.At(sel).refs-- // the entry has it already
		s.peerSets.At(id).refs++
		return id
	}
	h := hashPeerSet(&key)
	id := s.byPeerSet.Find(h, func(id uint32) bool { return *s.peerSets.At(id).set == key })
	if id != 0 {
		s.selectors.At(sel).refs-- // the entry has it already
	} else {
		kept := set
		if key.Selector != set.Selector {
			kept = new(policy.PeerSet)
			*kept = key
		}
		id = s.peerSets.Add()
		*s.peerSets.At(id) = peerSetEntry{set: kept, selector: sel}
		s.byPeerSet.Add(h, id)
	}
	s.peerSets.At(id).refs++
	s.recentPeerSet = id
	return id
}

func (s *Policies) releasePeerSet(id uint32) {
	e := s.peerSets.At(id)
	if e.refs--; e.refs > 0 {
		return
	}
	s.byPeerSet.Remove(hashPeerSet(e.set), id)
	s.releaseSelector(e.selector)
	if s.recentPeerSet == id {
		s.recentPeerSet = 0
	}
	*e = peerSetEntry{}
	s.peerSets.Drop(id)
}

// hashPeerSet hashes all fields of a peer set whose selector is the one that is kept.
func hashPeerSet(set *policy.PeerSet) uint64 { return maphash.Comparable(seed, *set) }
