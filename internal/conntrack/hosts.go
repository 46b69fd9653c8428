package conntrack

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// ConnectionDecider is a decider that knows what host endpoints say of a connection, too.
type ConnectionDecider interface {
	dataplane.FlowDecider
	// DeniesHost reports whether the host endpoints on the way of a connection deny it.
	DeniesHost(f policy.Flow, seen HostView) bool
}

// HostView is what the host knows of a connection beside its flow.
type HostView struct {
	OwnSrc, OwnDst bool // which ends are the host's own; never both
	// PreNATDst is the destination before it was translated, the same if it was not.
	PreNATDst netip.AddrPort
	// Via gives the interface that leads to an address, "" if none does. The kernel
	// does not tell by which one a connection came: on a host where packets come in
	// by another interface than answers would take, it is not the right one.
	Via func(netip.Addr) string
}

// ways finds the interfaces that lead to addresses.
type ways struct {
	routes *netlink.Handle
	known  map[netip.Addr]string
}

func (w *ways) to(a netip.Addr) string {
	name, ok := w.known[a]
	if ok {
		return name
	}
	routes, err := w.routes.RouteGet(net.IP(a.AsSlice()))
	if err == nil && len(routes) > 0 {
		if link, err := w.routes.LinkByIndex(routes[0].LinkIndex); err == nil {
			name = link.Attrs().Name
		}
	}
	w.known[a] = name
	return name
}
