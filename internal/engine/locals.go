package engine

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// local is an endpoint that programs are made for.
type local struct {
	endpoint *policy.Endpoint
	identity uint32
	addrs    []netip.Addr // at which it is dispatched to
	allAddrs []netip.Addr // all that it has: addrs, or those of a host endpoint
}

// localAddr is an address of local endpoints: the first of them acts.
type localAddr struct {
	endpoints []*local        // in the order of policy.CompareHolders
	programs  [3]uint32       // by Direction, and toOwnNode
	out       dataplane.Local // what the last flush emitted
}

// toOwnNode is where a local address has its program for what goes to its own node.
const toOwnNode = 2

// setLocal notes the state of an endpoint if programs are made for it, or were
// made before, when it had the identity was. It marks the endpoint's entry.
func (e *compiler) setLocal(key policy.Key, id, was uint32, ep *policy.Endpoint, addrs []netip.Addr) {
	en := e.endpoints.at(id)
	var old *local
	if en.where&isLocal != 0 {
		old = e.locals[key]
		delete(e.locals, key)
		en.where &^= isLocal
	}
	e.setHost(key, nil)
	if ep != nil && e.isLocal(ep) && (len(addrs) > 0 || ep.Host != nil) {
		l := &local{endpoint: ep, identity: en.identity, addrs: addrs, allAddrs: addrs}
		if ep.Host != nil {
			l.addrs = nil // it is not dispatched to by address
			e.setHost(key, l)
		}
		e.locals[key] = l
		e.joinIdentity(en.identity, l)
		e.joinProfiles(l)
		for _, a := range l.addrs {
			e.joinAddr(a, l)
		}
		en.where |= isLocal
	}
	if old == nil {
		return
	}
	for _, a := range old.addrs {
		la := e.byAddr[a]
		la.endpoints = slices.DeleteFunc(la.endpoints, func(l *local) bool { return l == old })
		e.pending.addrs[a] = struct{}{}
	}
	e.leaveProfiles(old)
	e.leaveIdentity(was, old)
}

func (e *compiler) joinAddr(a netip.Addr, l *local) {
	la := e.byAddr[a]
	if la == nil {
		la = &localAddr{}
		e.byAddr[a] = la
	}
	la.endpoints = append(la.endpoints, l)
	slices.SortStableFunc(la.endpoints, func(x, y *local) int { return policy.CompareHolders(x.endpoint, y.endpoint) })
	e.pending.addrs[a] = struct{}{}
	e.markLocalRecord(a)
}

// markLocalRecord notes at the address's record that programs depend on its predicates.
func (e *compiler) markLocalRecord(a netip.Addr) {
	if a.Is4() {
		e.v4.recs.At(e.v4.of(a.As4())).state |= markLocal
	} else {
		e.v6.recs.At(e.v6.of(a.As16())).state |= markLocal
	}
}
