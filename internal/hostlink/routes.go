package hostlink

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routing is what the routes of all of the host's tables say of its interfaces. They are
// read once for a search: a host may have very many. With 10,000 of them a search takes 10 ms, or 14 if each has
// a gateway of its own (BenchmarkFind), most of it in the kernel.
type routing struct {
	// alone are the interfaces that unicast routes to one address lead to, without a gateway.
	alone map[netip.Addr][]int
	// beyond is the route of each interface that leads to more than single addresses: the
	// one that says most.
	beyond map[int]beyond
	// gateways are the routers that each interface leads to.
	gateways map[int][]netip.Addr
	// single are the addresses, but link-local ones, that such routes of an interface lead to.
	single map[int][]netip.Addr
	// local are the addresses that this host delivers to itself, and localNets the ranges; services those of
	// local that are on serviceLink, where kube-proxy has the addresses of services in IPVS mode.
	local, services []netip.Addr
	localNets       []netip.Prefix
	serviceLink     int // 0: there is none
	// ends are where lightweight tunnels end.
	ends []netip.Addr
	// routed are the nets that gateways and overlays lead to, and overlays the interfaces that are such.
	routed   []RoutedNet
	overlays map[int]bool
}

// serviceLink is what kube-proxy in IPVS mode calls the interface that has the addresses of services.
const serviceLink = "kube-ipvs0"

// beyond is a route that leads to more than a pod. Nobody but root and, by router
// advertisements, whoever is at the other end can make one.
type beyond struct {
	to      netip.Prefix
	gateway bool
	// advertised says that the other end may have made it.
	advertised bool
}

// String completes "interface veth1 ...".
func (b beyond) String() string {
	by := ""
	if b.advertised {
		by = " by router advertisement"
	}
	switch {
	case b.to.Bits() == 0:
		return "has a default route" + by + ", so that it leads to the world"
	case b.gateway:
		return fmt.Sprintf("leads to a gateway for %s%s", b.to, by)
	}
	return fmt.Sprintf("leads to the whole of %s%s", b.to, by)
}

// compareBeyond orders routes by how much they say: root's own first, then by how much they lead to.
func compareBeyond(a, b beyond) int {
	rank := func(r beyond) int {
		n := 0
		if r.advertised {
			n = 4
		}
		switch {
		case r.to.Bits() == 0:
			return n
		case r.gateway:
			return n + 1
		}
		return n + 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.to.Bits(), b.to.Bits()), a.to.Addr().Compare(b.to.Addr()))
}

// linkLocal are nets that every interface may have, whatever it leads to.
var linkLocal = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}

func (s *search) readRoutes() error {
	s.routing = routing{
		alone: map[netip.Addr][]int{}, single: map[int][]netip.Addr{},
		beyond: map[int]beyond{}, gateways: map[int][]netip.Addr{}, overlays: map[int]bool{},
	}
	r := &s.routing
	for index, l := range s.links {
		if isOverlay(l) {
			r.overlays[index] = true
		}
		if l.Attrs().Name == serviceLink {
			r.serviceLink = index
		}
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := s.finder.eachRoute(family, r.add); err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
	}
	for _, list := range []*[]netip.Addr{&r.local, &r.services, &r.ends} {
		*list = sortedAddrs(*list)
	}
	slices.SortFunc(r.routed, func(a, b RoutedNet) int { return cmp.Or(a.Net.Compare(b.Net), a.Gateway.Compare(b.Gateway)) })
	for link, list := range r.gateways {
		r.gateways[link] = sortedAddrs(list)
	}
	slices.SortFunc(r.localNets, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	r.localNets = slices.Compact(r.localNets)
	return nil
}

// sortedAddrs sorts a list, and leaves each address once in it.
func sortedAddrs(list []netip.Addr) []netip.Addr {
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

func (r *routing) add(route *route) {
	switch route.kind {
	case unix.RTN_LOCAL:
		r.addLocal(route)
	case unix.RTN_UNICAST:
		r.addUnicast(route)
	}
}

// addLocal takes in what the host delivers to itself. IPv4 link-local addresses count: unlike those
// of IPv6, which every interface has, they are given by hand, and clients know them
// (169.254.20.10 is that of a DNS cache on the node).
func (r *routing) addLocal(route *route) {
	switch a := route.to.Addr(); {
	case a.IsLoopback(), a.Is6() && a.IsLinkLocalUnicast():
	case route.to.IsSingleIP():
		r.local = append(r.local, a) // of any table: each VRF has its own
		if r.serviceLink != 0 && route.hops[0].link == r.serviceLink {
			r.services = append(r.services, a)
		}
	case route.table == unix.RT_TABLE_LOCAL: // those of other tables are for packets with a mark (TPROXY)
		r.localNets = append(r.localNets, route.to)
	}
}

func (r *routing) addUnicast(route *route) {
	to := route.to
	linkLocal := slices.ContainsFunc(linkLocal, func(p netip.Prefix) bool { return p.Bits() <= to.Bits() && p.Contains(to.Addr()) })
	for _, h := range route.hops {
		if h.end.IsValid() {
			r.ends = append(r.ends, h.end)
		}
		r.addRouted(to, h, linkLocal)
		switch gateway := h.gateway.IsValid() || h.via; {
		case h.link == 0:
		case gateway || !to.IsSingleIP() && !linkLocal:
			b := beyond{to, gateway, isAdvertised(route)}
			if was, found := r.beyond[h.link]; !found || compareBeyond(b, was) < 0 {
				r.beyond[h.link] = b
			}
			if h.gateway.IsValid() {
				r.gateways[h.link] = append(r.gateways[h.link], h.gateway)
			}
		case to.IsSingleIP() && len(route.hops) == 1 && !slices.Contains(r.alone[to.Addr()], h.link):
			r.alone[to.Addr()] = append(r.alone[to.Addr()], h.link)
			if !linkLocal {
				r.single[h.link] = append(r.single[h.link], to.Addr())
			}
		}
	}
}

// addRouted takes in what lies behind a gateway or an overlay. A single address behind a gateway may be a
// pod's; behind an interface that is an overlay's and needs none, it is that of the other end.
func (r *routing) addRouted(to netip.Prefix, h hop, linkLocal bool) {
	n := RoutedNet{Net: to, Gateway: h.gateway, Overlay: r.overlays[h.link]}
	switch {
	case h.link == 0 || to.Bits() == 0 || linkLocal || len(r.routed) >= maxRoutedNets:
	case h.gateway.IsValid() && !to.IsSingleIP(), !h.gateway.IsValid() && n.Overlay:
		r.routed = append(r.routed, n)
	}
}

// isAdvertised reports whether the other end of a link may have had the kernel make a route:
// by router advertisements, which also make the routes of their prefixes, or a redirect.
func isAdvertised(r *route) bool {
	switch r.protocol {
	case unix.RTPROT_RA, unix.RTPROT_REDIRECT, unix.RTPROT_KERNEL:
		return r.family == unix.AF_INET6
	}
	return false
}

func prefixOf(dst *net.IPNet) (netip.Prefix, bool) {
	if dst == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(dst.IP)
	a = a.Unmap()
	ones, bits := dst.Mask.Size()
	if !ok || bits != a.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}

// elsewhere looks for a route to this address alone in all tables: the host's own packets may go another way than
// those that come from the pod's network (AWS, pods with security groups). If there is none, the reason stays.
func (s *search) elsewhere(a netip.Addr, reason string) (netlink.Link, miss) {
	links := slices.DeleteFunc(slices.Clone(s.routing.alone[a]), func(i int) bool { return s.links[i] == nil || s.bridge(i) != nil })
	switch len(links) {
	case 0:
		return nil, miss{NoWay, reason, ""}
	case 1:
		return s.links[links[0]], miss{}
	}
	first, second := s.links[links[0]].Attrs().Name, s.links[links[1]].Attrs().Name
	return nil, miss{Unfit, fmt.Sprintf("tables of routes lead to %s by interfaces %s and %s", a, first, second), first}
}
