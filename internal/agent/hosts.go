package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// interfaceNames returns the interfaces of this host by their addresses.
func interfaceNames() (map[netip.Addr]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("interfaces of this host: %w", err)
	}
	names := map[netip.Addr]string{}
	for _, l := range links {
		if l.Flags&net.FlagLoopback != 0 {
			continue // never governed
		}
		addrs, err := l.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				names[p.Addr().Unmap()] = l.Name
			}
		}
	}
	return names, nil
}

// hostAddrs returns the addresses of this host at which others answer it.
func hostAddrs() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}

// isHost reports whether a change is of a host endpoint of the node.
func isHost(o policy.Object, node string) (*policy.Endpoint, bool) {
	ep, ok := o.(*policy.Endpoint)
	return ep, ok && ep != nil && ep.Host != nil && ep.Node == node
}

// placed returns a host endpoint of the node the name of its interface, where only
// its addresses tell which one it is. Nothing is enforced for one of which no
// interface has any.
func placed(o policy.Object, node string, names map[netip.Addr]string) policy.Object {
	ep, ok := isHost(o, node)
	if !ok || ep.Interface != "" {
		return o
	}
	for _, a := range ep.Host.Expected {
		if name := names[a]; name != "" {
			v := *ep
			v.Interface = name
			return &v
		}
	}
	return o
}

// place is placed for a change, by the names that were last read.
func (a *agent) place(c policy.Change) policy.Change {
	c.Object = placed(c.Object, a.cfg.Node, a.ifNames)
	return c
}

// placeHosts reads the names of interfaces again, and has the engine know of host
// endpoints that are elsewhere now. It reports whether any is.
func (a *agent) placeHosts() (moved bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.view.hosts) == 0 {
		return false
	}
	names, err := interfaceNames()
	if err != nil {
		a.log.Error("host endpoints that only have expectedIPs stay where they were", "error", err)
		return false
	}
	a.retap = true // its addresses may be others
	before := a.ifNames
	a.ifNames = names
	for key, ep := range a.view.hosts {
		was, now := placed(ep, a.cfg.Node, before).(*policy.Endpoint), a.place(policy.Change{Key: key, Object: ep})
		if is := now.Object.(*policy.Endpoint); was.Interface != is.Interface {
			a.engine.Apply(now)
			moved = true
		}
	}
	return moved
}

// hostNotes says which host endpoints of this node are not enforced, and why. The
// caller holds mu.
func (a *agent) hostNotes() []string {
	var notes []string
	first := map[string]*policy.Endpoint{}
	var hosts []*policy.Endpoint
	for _, ep := range a.view.hosts {
		hosts = append(hosts, placed(ep, a.cfg.Node, a.ifNames).(*policy.Endpoint))
	}
	slices.SortFunc(hosts, policy.CompareHosts)
	for _, ep := range hosts {
		switch other := first[ep.Interface]; {
		case ep.Interface == "":
			notes = append(notes, fmt.Sprintf("HostEndpoint %s: no interface of this host has any of its expectedIPs", ep.Key.Name))
		case other != nil:
			notes = append(notes, fmt.Sprintf("HostEndpoint %s: interface %s is that of HostEndpoint %s already; of several the first by name is enforced",
				ep.Key.Name, ep.Interface, other.Key.Name))
		default:
			first[ep.Interface] = ep
		}
	}
	return notes
}

// warnOfHosts says what host endpoints would be no good for: one that is not
// enforced, and one that would cut this agent off the API server.
func (a *agent) warnOfHosts(ctx context.Context) {
	a.mu.RLock()
	notes := a.hostNotes()
	a.mu.RUnlock()
	if a.apiServerCut(ctx) {
		notes = append(notes, fmt.Sprintf("a host endpoint of this node denies new connections to the API server at %s: allow them, or add --failsafe-out tcp:%d",
			a.apiServerAt, a.apiServerAt.Port()))
	}
	for _, n := range notes {
		if !slices.Contains(a.warned, n) {
			a.log.Warn(n)
		}
	}
	a.warned = notes
}

// stated is a dataplane that can say what should be in force.
type stated interface{ State() *dataplane.State }

// apiServerLook is the least time between two looks at the kernel's connections for
// where the API server is.
const apiServerLook = 10 * time.Second

// apiServerCut reports whether the tables deny this host's connections to the
// API server.
func (a *agent) apiServerCut(ctx context.Context) bool {
	asked := a.cfg.APIServer
	s, ok := a.dataplane.(stated)
	if !ok || !asked.IsValid() || !s.State().HasPoints() {
		return false
	}
	if !a.apiServerAt.IsValid() {
		a.apiServerAt = asked
	}
	if !a.deniesOut(s.State(), asked, a.apiServerAt) {
		return false
	}
	// The address may be a Service's: what policy is asked about is what it was
	// translated to, and that the agent's own connections tell. To look through all of
	// the kernel's is not for each change.
	if time.Since(a.apiServerSought) < apiServerLook {
		return true
	}
	a.apiServerSought = time.Now()
	entries, err := liveConnections(ctx)
	if err != nil {
		return true
	}
	for i := range entries {
		if f := entries[i].Flow; f.Protocol == policy.TCP && entries[i].Asked() == asked {
			a.apiServerAt = netip.AddrPortFrom(f.Dst, f.DstPort)
			if !a.deniesOut(s.State(), asked, a.apiServerAt) {
				return false
			}
		}
	}
	return true
}

// deniesOut reports whether the tables deny new connections of this host to a
// server that it asks for at one address, and that is at another.
func (a *agent) deniesOut(s *dataplane.State, asked, at netip.AddrPort) bool {
	routes, err := netlink.RouteGet(net.IP(at.Addr().AsSlice()))
	if err != nil || len(routes) == 0 {
		return false // it is not reached anyway
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	from, ok := netip.AddrFromSlice(routes[0].Src)
	if err != nil || !ok || link.Attrs().Name == "lo" {
		return false
	}
	for _, step := range []struct {
		hook policy.Hook
		to   netip.AddrPort
	}{{policy.HookRawOut, asked}, {policy.HookOutput, at}} { // the first is before addresses are translated
		f := policy.Flow{Src: from.Unmap(), Dst: step.to.Addr(), Protocol: policy.TCP, SrcPort: 49152, DstPort: step.to.Port()}
		if _, open := a.cfg.Host.Failsafe(step.hook, f); open {
			return false
		}
		v := s.DecideHost(dataplane.PointKey{Node: a.cfg.Node, Hook: step.hook, Interface: link.Attrs().Name}, f)
		if v.Governed && v.Decider != 0 && (step.hook == policy.HookOutput || !v.Allow) {
			return !v.Allow
		}
		if v.Governed && v.Decider != 0 {
			return false // allowed early: no other policy is asked
		}
	}
	return false
}

// liveConnections returns those that the kernel tracks in this network namespace.
func liveConnections(ctx context.Context) ([]conntrack.Entry, error) {
	table, err := conntrack.Open("")
	if err != nil {
		return nil, err
	}
	defer func() { _ = table.Close() }()
	return table.Entries(ctx)
}
