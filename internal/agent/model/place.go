package model

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// isHost reports whether an object is a host endpoint of the node.
func isHost(o policy.Object, node string) (*policy.Endpoint, bool) {
	ep, ok := o.(*policy.Endpoint)
	return ep, ok && ep != nil && ep.Host != nil && ep.Node == node
}

// Place returns a host endpoint of the node with the name of its interface, where only
// its addresses tell which one it is; interfaces are those of the host by address.
// Nothing is enforced for one of which no interface has any. Other objects are returned
// as they are.
func Place(o policy.Object, node string, interfaces map[netip.Addr]string) policy.Object {
	ep, ok := isHost(o, node)
	if !ok || ep.Interface != "" {
		return o
	}
	for _, a := range ep.Host.Expected {
		if name := interfaces[a]; name != "" {
			v := *ep
			v.Interface = name
			return &v
		}
	}
	return o
}

// place is Place for a change, by the interfaces that were last read. The caller holds mu.
func (m *Model) place(c policy.Change) policy.Change {
	c.Object = Place(c.Object, m.summary.node, m.interfaces)
	return c
}

// PlaceHosts says which interfaces this host has, by address, and gives the engine the
// host endpoints that are elsewhere now.
func (m *Model) PlaceHosts(interfaces map[netip.Addr]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.interfaces
	m.interfaces = interfaces
	for key, ep := range m.summary.hosts {
		was, now := Place(ep, m.summary.node, before).(*policy.Endpoint), m.place(policy.Change{Key: key, Object: ep})
		if is := now.Object.(*policy.Endpoint); was.Interface != is.Interface {
			m.engine.Apply(now)
		}
	}
}
