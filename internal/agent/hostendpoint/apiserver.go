package hostendpoint

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// apiServerInterval is the least time between two looks at the kernel's connections for
// where the API server is.
const apiServerInterval = 10 * time.Second

// apiServerDenied reports whether the tables deny this host's connections to the
// API server.
func (c *Component) apiServerDenied(ctx context.Context) bool {
	if !c.apiServer.IsValid() {
		return false
	}
	tables := c.env.Kernel.State()
	if tables == nil || !tables.HasAttachments() || !c.deniesOut(tables, c.apiServer, c.apiServerAt) {
		return false
	}
	// The address may be a Service's: what policy is asked about is what it was
	// translated to, and that the agent's own connections tell. To look through all of
	// the kernel's is not for each change.
	if time.Since(c.apiServerSought) < apiServerInterval {
		return true
	}
	c.apiServerSought = time.Now()
	entries, err := kernel.LiveConnections(ctx)
	if err != nil {
		return true
	}
	for i := range entries {
		if f := entries[i].Flow; f.Protocol == policy.TCP && entries[i].Asked() == c.apiServer {
			c.apiServerAt = netip.AddrPortFrom(f.Dst, f.DstPort)
			if !c.deniesOut(tables, c.apiServer, c.apiServerAt) {
				return false
			}
		}
	}
	return true
}

// deniesOut reports whether the tables deny new connections of this host to a
// server that it asks for at one address, and that is at another.
func (c *Component) deniesOut(tables *dataplane.State, asked, at netip.AddrPort) bool {
	routes, err := netlink.RouteGet(net.IP(at.Addr().AsSlice()))
	if err != nil || len(routes) == 0 {
		return false // it is not reached anyway
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	from, ok := netip.AddrFromSlice(routes[0].Src)
	if err != nil || !ok || link.Attrs().Name == "lo" {
		return false
	}
	for _, stop := range evaluate.NodePath(evaluate.NodeItself, evaluate.Elsewhere) {
		to := at
		if stop.Hook.BeforeFilter() {
			to = asked // not translated yet
		}
		f := policy.Flow{Src: from.Unmap(), Dst: to.Addr(), Protocol: policy.TCP, SrcPort: 49152, DstPort: to.Port()}
		if _, open := c.settings.Failsafe(stop.Hook, f); open {
			return false
		}
		v := tables.DecideHost(dataplane.AttachmentKey{Node: c.env.Node, Hook: stop.Hook, Interface: link.Attrs().Name}, f)
		if v.Governed && v.Decider != 0 {
			return !v.Allow // before the filter, an Allow skips what follows
		}
	}
	return false
}
