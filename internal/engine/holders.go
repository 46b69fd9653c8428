package engine

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// An address has one holder: whatever other endpoints claim it as well, they are
// as if they did not, until it is theirs. Such claims are rare and short: an
// address is handed from one endpoint to the next. They are kept aside, so that
// an address without them costs no more than the number of its holder.

// claim makes an endpoint one of those that claim an address, or looks again at
// what it is, and finds out who holds the address. It gives the address's record.
func (e *Engine) claim(a netip.Addr, id uint32) uint32 {
	if a.Is4() {
		r := e.v4.of(a.As4())
		claimRecord(e, e.v4, r, a, id)
		return r
	}
	r := e.v6.of(a.As16())
	claimRecord(e, e.v6, r, a, id)
	return r
}

func claimRecord[K addrKey](e *Engine, t *recordTable[K], r uint32, a netip.Addr, id uint32) {
	all, several := e.contested[a]
	holder := t.recs.At(r).holder
	switch {
	case holder == 0 || holder == id && !several:
		holdRecord(e, t, r, a, id)
		return
	case !several:
		all = []uint32{holder}
	}
	if !slices.Contains(all, id) {
		all = append(all, id)
	}
	slices.SortFunc(all, e.compareClaims)
	e.contested[a] = all
	holdRecord(e, t, r, a, all[0])
}

// unclaim takes an endpoint from those that claim an address.
func (e *Engine) unclaim(a netip.Addr, id uint32) {
	all := e.contested[a]
	if all == nil {
		e.setHolder(a, 0)
		return
	}
	all = slices.DeleteFunc(all, func(other uint32) bool { return other == id })
	e.contested[a] = all
	if len(all) == 1 {
		delete(e.contested, a)
	}
	e.setHolder(a, all[0])
}

// compareClaims orders endpoints that claim one address: a local one comes before
// all others, so that no other node can switch off policy here. Apart from that
// it is the order of policy.CompareHolders.
func (e *Engine) compareClaims(a, b uint32) int {
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
func (e *Engine) compareIdentities(a, b uint32) int {
	t := e.identities
	x, y := t.at(a), t.at(b)
	return policy.CompareIdentities(slices.Clone(t.labelsOf(x)), x.ports, t.labelsOf(y), y.ports)
}

// setHolder makes an endpoint, or none, the holder of an address.
func (e *Engine) setHolder(a netip.Addr, id uint32) {
	if a.Is4() {
		holdRecord(e, e.v4, e.v4.of(a.As4()), a, id)
	} else {
		holdRecord(e, e.v6, e.v6.of(a.As16()), a, id)
	}
}

func holdRecord[K addrKey](e *Engine, t *recordTable[K], r uint32, addr netip.Addr, id uint32) {
	t.recs.At(r).holder = id
	placeRecord(e, t, r, addr)
}
