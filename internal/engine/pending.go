package engine

import (
	"net/netip"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// pending is what changed since the last flush, and what follows from it during one.
type pending struct {
	tiers            bool                      // a tier changed
	identities       map[uint32]struct{}       // of local endpoints, whose policies changed
	released         []uint32                  // policies that identities no longer need, once each
	policies         []uint32                  // versions of policies that are gone
	profiles         map[string]struct{}       // by name, that changed or whose users did
	profileRules     []*inForce                // of profiles, that are let go
	sets             map[uint32]struct{}       // whose nets or selectors changed
	nets             map[netip.Prefix]struct{} // whose prefix lists changed
	hosts            map[netip.Addr]struct{}   // single addresses whose prefix lists changed
	nodes            map[netip.Prefix]struct{} // nets that came to a prefix-list set or left one
	equivalenceCells *roaring.Bitmap           // of which other predicates may be true
	addrs            map[netip.Addr]struct{}   // of local endpoints, whose programs may change

	resigned   []uint32                       // equivalence cells of which other predicates are true
	moved      *roaring.Bitmap                // equivalence cells of another class
	classes    map[dataplane.ClassID]struct{} // that lost their last equivalence cell, for a while at least
	newClasses []dataplane.ClassID
	programs   map[uint32]struct{}          // new, or with a use less
	cells      map[cellKey]struct{}         // to be computed
	setCells   []dataplane.Cell             // that changed
	rows       map[dataplane.RowID]struct{} // new, or without use for a while at least
	cached     []dataplane.RowID            // rows retained until the end of the flush
	ruleRefs   map[dataplane.DeciderID]struct{}

	// Ids that are free once nothing names them any more, at the end of the flush.
	predicates, names, prefixLists []uint32
	prefixListSets, emptied        map[uint32]struct{}
}

func newPending() pending {
	return pending{
		identities: map[uint32]struct{}{}, profiles: map[string]struct{}{}, sets: map[uint32]struct{}{},
		nets: map[netip.Prefix]struct{}{}, hosts: map[netip.Addr]struct{}{}, nodes: map[netip.Prefix]struct{}{},
		equivalenceCells: roaring.New(), addrs: map[netip.Addr]struct{}{}, moved: roaring.New(),
		classes: map[dataplane.ClassID]struct{}{}, programs: map[uint32]struct{}{},
		cells: map[cellKey]struct{}{}, rows: map[dataplane.RowID]struct{}{},
		ruleRefs:       map[dataplane.DeciderID]struct{}{},
		prefixListSets: map[uint32]struct{}{}, emptied: map[uint32]struct{}{},
	}
}
