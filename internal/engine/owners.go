package engine

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// An address has one owner: whatever other endpoints have it as well, they are as
// if they had not, until it is theirs. Such conflicts are rare and short: an address
// is handed from one endpoint to the next. They are kept aside, so that an address
// without one costs no more than the number of its owner.

// addOwner makes an endpoint one of those that have an address, or looks again at
// what it is, and finds out who owns the address. It returns the address's record.
func (e *addressing) addOwner(a netip.Addr, id uint32) uint32 {
	if a.Is4() {
		r := e.v4.of(a.As4())
		addRecordOwner(e, e.v4, r, a, id)
		return r
	}
	r := e.v6.of(a.As16())
	addRecordOwner(e, e.v6, r, a, id)
	return r
}

func addRecordOwner[K addrKey](e *addressing, t *recordTable[K], r uint32, a netip.Addr, id uint32) {
	all, several := e.conflicts[a]
	owner := t.recs.At(r).owner
	switch {
	case owner == 0 || owner == id && !several:
		setRecordOwner(e, t, r, a, id)
		return
	case !several:
		all = []uint32{owner}
	}
	if !slices.Contains(all, id) {
		all = append(all, id)
	}
	slices.SortFunc(all, e.compareOwners)
	e.conflicts[a] = all
	setRecordOwner(e, t, r, a, all[0])
}

// removeOwner takes an endpoint from those that have an address.
func (e *addressing) removeOwner(a netip.Addr, id uint32) {
	all := e.conflicts[a]
	if all == nil {
		e.setOwner(a, 0)
		return
	}
	all = slices.DeleteFunc(all, func(other uint32) bool { return other == id })
	e.conflicts[a] = all
	if len(all) == 1 {
		delete(e.conflicts, a)
	}
	e.setOwner(a, all[0])
}

// compareOwners orders endpoints that have one address: a local one comes before
// all others, so that no other node can switch off policy here. Apart from that
// it is the order of policy.CompareHolders.
func (e *addressing) compareOwners(a, b uint32) int {
	x, y := e.endpoints.at(a), e.endpoints.at(b)
	if c := cmp.Compare(y.where&isLocal, x.where&isLocal); c != 0 {
		return c
	}
	if c := cmp.Compare(y.precedence, x.precedence); c != 0 {
		return c
	}
	if x.identity != y.identity {
		return e.compareIdentities(x.identity, y.identity)
	}
	// What looks the same is the same to everyone.
	return cmp.Compare(a, b)
}

// compareIdentities is policy.CompareIdentities of what identities stand for.
func (e *addressing) compareIdentities(a, b uint32) int {
	t := e.identities
	x, y := t.at(a), t.at(b)
	return policy.CompareIdentities(slices.Clone(t.labelsOf(x)), x.ports, t.labelsOf(y), y.ports)
}

// setOwner makes an endpoint, or none, the owner of an address.
func (e *addressing) setOwner(a netip.Addr, id uint32) {
	if a.Is4() {
		setRecordOwner(e, e.v4, e.v4.of(a.As4()), a, id)
	} else {
		setRecordOwner(e, e.v6, e.v6.of(a.As16()), a, id)
	}
}

func setRecordOwner[K addrKey](e *addressing, t *recordTable[K], r uint32, addr netip.Addr, id uint32) {
	t.recs.At(r).owner = id
	placeRecord(e, t, r, addr)
}
