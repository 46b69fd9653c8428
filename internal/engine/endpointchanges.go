package engine

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

func (e *compiler) setEndpoint(key policy.Key, ep *policy.Endpoint) {
	t := e.endpoints
	h := hashKey(key)
	id := t.find(h)
	if ep == nil {
		if id != 0 {
			e.dropEndpoint(key, id)
		}
		return
	}
	isNew := id == 0
	if isNew {
		id = t.entries.Add()
		*t.at(id) = endpointEntry{key: h}
		t.byKey.Add(h.sum(), id)
	}
	en := t.at(id)
	addrs := endpointAddrs(ep)
	was := e.addrsOf(id, e.scratch.addrs[:0])
	e.scratch.addrs = was
	old := *en
	en.identity = e.retainIdentity(ep.Labels, ep.Ports)
	en.precedence = ep.Precedence
	e.setLocal(key, id, old.identity, ep, addrs)
	if en.identity != old.identity || en.precedence != old.precedence || (old.where^en.where)&isLocal != 0 || !slices.Equal(was, addrs) {
		e.moveAddrs(id, was, addrs)
	}
	if !isNew {
		e.releaseIdentity(old.identity)
	}
}

func (e *compiler) dropEndpoint(key policy.Key, id uint32) {
	t := e.endpoints
	e.scratch.addrs = e.addrsOf(id, e.scratch.addrs[:0])
	identity, h := t.at(id).identity, t.at(id).key
	e.setLocal(key, id, identity, nil, nil)
	e.moveAddrs(id, e.scratch.addrs, nil)
	e.releaseIdentity(identity)
	t.byKey.Remove(h.sum(), id)
	t.entries.Drop(id)
}

// endpointAddrs returns the endpoint's addresses, sorted, each once.
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

// moveAddrs brings an endpoint from its addresses to others. Those that it keeps
// are looked at as well: it may be another identity now, or come first.
func (e *compiler) moveAddrs(id uint32, was, now []netip.Addr) {
	e.endpoints.dropAddrs(id)
	for _, a := range was {
		if !slices.Contains(now, a) {
			e.removeOwner(a, id)
		}
	}
	var records [2]uint32
	for i, a := range now {
		if r := e.addOwner(a, id); i < len(records) {
			records[i] = r
		}
	}
	e.keepAddrs(id, now, records)
}
