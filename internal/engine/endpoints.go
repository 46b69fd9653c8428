package engine

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// endpointTable holds, of every endpoint, its identity and addresses, in few
// bytes: most endpoints are somewhere else in the cluster.
type endpointTable struct {
	entries slab[endpointEntry]
	byKey   hashIndex
	lists   [][]netip.Addr // of endpoints that do not have exactly one IPv4 address
	free    []uint32
}

// endpointEntry is one endpoint. where is the record of its only address, an
// IPv4 one, or else, with inList set, the place of its addresses in lists.
type endpointEntry struct {
	key      keyHash
	identity uint32
	where    uint32
}

const (
	inList    = 1 << 31 // where is a place in lists
	isLocal   = 1 << 30 // the endpoint is in the engine's locals
	whereMask = isLocal - 1
)

func (e *Engine) addrsOf(en endpointEntry) []netip.Addr {
	if en.where&inList != 0 {
		return e.endpoints.lists[en.where&whereMask]
	}
	return []netip.Addr{netip.AddrFrom4(e.v4.recs.at(en.where & whereMask).addr)}
}

func (e *Engine) setEndpoint(key policy.Key, ep *policy.Endpoint) {
	h := hashKey(key)
	at := e.endpoints.find(h)
	known := at != 0
	var old endpointEntry
	if known {
		old = *e.endpoints.entries.at(at)
	}
	if ep == nil {
		if known {
			e.replaceHolder(old, 0, nil)
			e.setLocal(key, old, nil, nil, 0)
			e.releaseEntry(old)
			e.endpoints.byKey.remove(h[0], at)
			e.endpoints.entries.drop(at)
		}
		return
	}
	id := e.holdIdentity(ep.Labels, ep.Ports)
	addrs := endpointAddrs(ep)
	if known && old.identity == id && slices.Equal(e.addrsOf(old), addrs) {
		old.where = old.where&^isLocal | e.setLocal(key, old, ep, addrs, id)
		*e.endpoints.entries.at(at) = old
		e.releaseIdentity(id)
		return
	}
	var record uint32 // of the last address
	if known {
		record = e.replaceHolder(old, id, addrs)
	} else {
		for _, a := range addrs {
			record = e.hold(a, 0, id)
		}
	}
	en := endpointEntry{key: h, identity: id, where: e.setLocal(key, old, ep, addrs, id)}
	if len(addrs) == 1 && addrs[0].Is4() {
		en.where |= record
	} else {
		en.where |= inList | e.endpoints.list(addrs)
	}
	if known {
		e.releaseEntry(old)
		*e.endpoints.entries.at(at) = en
		return
	}
	at = e.endpoints.entries.add()
	*e.endpoints.entries.at(at) = en
	e.endpoints.byKey.addMissed(h[0], at)
}

func newEndpointTable() *endpointTable {
	t := &endpointTable{}
	t.byKey = newHashIndex(func(i uint32) uint64 { return t.entries.at(i).key[0] })
	return t
}

func (t *endpointTable) find(h keyHash) uint32 {
	return t.byKey.find(h[0], func(i uint32) bool { return t.entries.at(i).key == h })
}

func (t *endpointTable) list(addrs []netip.Addr) uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		t.lists[i] = addrs
		return i
	}
	t.lists = append(t.lists, addrs)
	return uint32(len(t.lists) - 1)
}

// replaceHolder brings an endpoint from its old identity and addresses to new
// ones. It gives the record of the last new address.
func (e *Engine) replaceHolder(old endpointEntry, identity uint32, addrs []netip.Addr) (record uint32) {
	was := e.addrsOf(old)
	for _, a := range addrs {
		if slices.Contains(was, a) {
			record = e.hold(a, old.identity, identity)
		} else {
			record = e.hold(a, 0, identity)
		}
	}
	for _, a := range was {
		if !slices.Contains(addrs, a) {
			e.hold(a, old.identity, 0)
		}
	}
	return record
}

// releaseEntry lets go of what an endpoint's entry refers to, addresses aside.
func (e *Engine) releaseEntry(en endpointEntry) {
	if en.where&inList != 0 {
		i := en.where & whereMask
		e.endpoints.lists[i] = nil
		e.endpoints.free = append(e.endpoints.free, i)
	}
	e.releaseIdentity(en.identity)
}

// endpointAddrs gives the endpoint's addresses, sorted, each once.
func endpointAddrs(ep *policy.Endpoint) []netip.Addr {
	if len(ep.Addrs) == 1 && ep.Addrs[0].Is4() {
		return ep.Addrs
	}
	addrs := make([]netip.Addr, 0, len(ep.Addrs))
	for _, a := range ep.Addrs {
		if a.IsValid() {
			addrs = append(addrs, a.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// hold takes one identity from the holders of an address and adds another one; 0
// is none. It gives the address's record.
func (e *Engine) hold(addr netip.Addr, out, in uint32) (record uint32) {
	if addr.Is4() {
		record = e.v4.of(addr.As4())
		holdRecord(e, e.v4, record, addr, out, in)
	} else {
		record = e.v6.of(addr.As16())
		holdRecord(e, e.v6, record, addr, out, in)
	}
	return record
}

func holdRecord[K addrKey](e *Engine, t *recordTable[K], r uint32, addr netip.Addr, out, in uint32) {
	holders := e.scratch.holders[:0]
	if a := t.recs.at(r).atom(); a != 0 {
		holders = e.atoms.holders(e.atoms.at(a), holders)
	}
	if i := slices.Index(holders, out); i >= 0 && out != 0 {
		holders = slices.Delete(holders, i, i+1)
	}
	if in != 0 {
		holders = append(holders, in)
		slices.Sort(holders)
	}
	e.scratch.holders = holders
	setHolders(e, t, r, addr, holders)
}

// local is an endpoint that programs are made for.
type local struct {
	endpoint *policy.Endpoint
	identity uint32
	addrs    []netip.Addr
}

// localAddr is an address of local endpoints. Two hold one address only while
// it is handed over; the first by key acts.
type localAddr struct {
	holders  []*local // sorted by key
	programs [2]uint32
	out      dataplane.Local // what the last flush gave out
}

// setLocal notes the state of an endpoint if programs are made for it, or was
// noted before (was). It gives the mark for the endpoint's entry.
func (e *Engine) setLocal(key policy.Key, was endpointEntry, ep *policy.Endpoint, addrs []netip.Addr, identity uint32) (mark uint32) {
	var old *local
	if was.where&isLocal != 0 {
		old = e.locals[key]
		delete(e.locals, key)
	}
	if ep != nil && e.isLocal(ep) && len(addrs) > 0 {
		l := &local{endpoint: ep, identity: identity, addrs: addrs}
		e.locals[key] = l
		e.joinIdentity(identity, l)
		for _, a := range addrs {
			e.joinAddr(a, l)
		}
		mark = isLocal
	}
	if old == nil {
		return mark
	}
	for _, a := range old.addrs {
		la := e.byAddr[a]
		la.holders = slices.DeleteFunc(la.holders, func(l *local) bool { return l == old })
		e.dirty.addrs[a] = struct{}{}
	}
	e.leaveIdentity(old.identity, old)
	return mark
}

func (e *Engine) joinAddr(a netip.Addr, l *local) {
	la := e.byAddr[a]
	if la == nil {
		la = &localAddr{}
		e.byAddr[a] = la
	}
	la.holders = append(la.holders, l)
	slices.SortStableFunc(la.holders, func(x, y *local) int { return x.endpoint.Key.Compare(y.endpoint.Key) })
	e.dirty.addrs[a] = struct{}{}
	e.noteLocal(a)
}

// noteLocal notes at the address's record that programs depend on its facts.
func (e *Engine) noteLocal(a netip.Addr) {
	if a.Is4() {
		e.v4.recs.at(e.v4.of(a.As4())).state |= markLocal
	} else {
		e.v6.recs.at(e.v6.of(a.As16())).state |= markLocal
	}
}
