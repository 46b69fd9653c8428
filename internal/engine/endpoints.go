package engine

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/compact"
)

// endpointTable holds, of every endpoint, its identity and addresses, in few
// bytes: most endpoints are somewhere else in the cluster.
type endpointTable struct {
	entries compact.Slab[endpointEntry]
	byKey   compact.Index
	pairs   compact.Slab[addrPair]
	lists   map[uint32][]netip.Addr // addresses of entries, that no record or pair can tell
}

// endpointEntry is one endpoint. where leads to its addresses.
type endpointEntry struct {
	key        keyHash
	identity   uint32
	precedence int32
	where      uint32
}

// addrPair is the records of an IPv4 and an IPv6 address.
type addrPair struct{ v4, v6 uint32 }

// What a where is, in its upper bits: the number of a record, of an addrPair, or
// nothing, since the addresses are in lists.
const (
	inList    = iota << 30
	inRecord4 // of its only address, an IPv4 one
	inRecord6
	inPair

	whereForm = 3 << 30
	isLocal   = 1 << 29 // the endpoint is in the engine's locals
	whereMask = isLocal - 1
)

func newEndpointTable() *endpointTable {
	t := &endpointTable{lists: map[uint32][]netip.Addr{}}
	t.byKey = compact.NewIndex(func(i uint32) uint64 { return t.entries.At(i).key.sum() })
	return t
}

func (t *endpointTable) at(id uint32) *endpointEntry { return t.entries.At(id) }

func (t *endpointTable) find(h keyHash) uint32 {
	return t.byKey.Find(h.sum(), func(i uint32) bool { return t.entries.At(i).key == h })
}

// addrsOf appends the addresses of an endpoint to a list, sorted.
func (e *addressing) addrsOf(id uint32, to []netip.Addr) []netip.Addr {
	where := e.endpoints.at(id).where
	v4 := func(r uint32) netip.Addr { return netip.AddrFrom4(e.v4.recs.At(r).addr) }
	v6 := func(r uint32) netip.Addr { return netip.AddrFrom16(e.v6.recs.At(r).addr) }
	switch at := where & whereMask; where & whereForm {
	case inRecord4:
		return append(to, v4(at))
	case inRecord6:
		return append(to, v6(at))
	case inPair:
		p := e.endpoints.pairs.At(at)
		return append(to, v4(p.v4), v6(p.v6))
	}
	return append(to, e.endpoints.lists[id]...)
}

// keepAddrs notes the addresses of an endpoint that claims them, sorted, with the
// records of the first two.
func (e *addressing) keepAddrs(id uint32, addrs []netip.Addr, records [2]uint32) {
	t := e.endpoints
	where := t.at(id).where & isLocal
	switch {
	case len(addrs) == 1 && addrs[0].Is4():
		where |= inRecord4 | records[0]
	case len(addrs) == 1:
		where |= inRecord6 | records[0]
	case len(addrs) == 2 && addrs[0].Is4() && !addrs[1].Is4():
		p := t.pairs.Add()
		*t.pairs.At(p) = addrPair{records[0], records[1]}
		where |= inPair | p
	case len(addrs) > 0:
		t.lists[id] = addrs
	}
	t.at(id).where = where
}

// dropAddrs forgets the addresses of an endpoint.
func (t *endpointTable) dropAddrs(id uint32) {
	en := t.at(id)
	if en.where&whereForm == inPair {
		t.pairs.Drop(en.where & whereMask)
	}
	delete(t.lists, id)
	en.where &= isLocal
}
