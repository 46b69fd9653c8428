package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ipNet returns a prefix as the netlink library wants it.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}
}

// single returns the prefix that holds just the address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// addAddrs returns an interface addresses without a network around them.
func addAddrs(nl *netlink.Handle, link netlink.Link, addrs []netip.Addr) error {
	for _, a := range addrs {
		if err := nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(single(a))}); err != nil {
			return fmt.Errorf("add address %s to %s: %w", a, link.Attrs().Name, err)
		}
	}
	return nil
}

// routeOut sends all that leaves the host to the gateways.
func (h *Host) routeOut(nl *netlink.Handle, link netlink.Link) error {
	index := link.Attrs().Index
	for _, family := range []struct {
		use     bool
		gateway netip.Addr
		all     string
	}{
		{h.Addr4().IsValid(), gateway4, "0.0.0.0/0"},
		{h.Addr6().IsValid(), gateway6, "::/0"},
	} {
		if !family.use {
			continue
		}
		err := nl.NeighSet(&netlink.Neigh{
			LinkIndex: index, State: netlink.NUD_PERMANENT,
			IP: family.gateway.AsSlice(), HardwareAddr: gatewayMAC,
		})
		if err != nil {
			return fmt.Errorf("name gateway %s: %w", family.gateway, err)
		}
		err = nl.RouteAdd(&netlink.Route{
			LinkIndex: index, Dst: ipNet(netip.MustParsePrefix(family.all)),
			Gw: family.gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
		})
		if err != nil {
			return fmt.Errorf("route to gateway %s: %w", family.gateway, err)
		}
	}
	return nil
}

// routeIn makes the node find the host's addresses and ranges on its link. What
// the node itself sends there comes from the node's own address.
func (h *Host) routeIn(nl *netlink.Handle, link netlink.Link) error {
	index := link.Attrs().Index
	for _, a := range h.addrs {
		r := &netlink.Route{
			LinkIndex: index, Dst: ipNet(single(a)), Src: h.node.source(a), Scope: unix.RT_SCOPE_LINK,
		}
		if a.Is6() {
			r.Scope = unix.RT_SCOPE_UNIVERSE // IPv6 knows no other
		}
		if err := nl.RouteAdd(r); err != nil {
			return fmt.Errorf("route %s to the host: %w", a, err)
		}
	}
	for _, n := range h.nets {
		via := h.first(n.Addr().Is4())
		err := nl.RouteAdd(&netlink.Route{
			LinkIndex: index, Dst: ipNet(n), Gw: via.AsSlice(), Src: h.node.source(via),
			Flags: int(netlink.FLAG_ONLINK),
		})
		if err != nil {
			return fmt.Errorf("route %s to the host: %w", n, err)
		}
	}
	return nil
}

// source returns the address of h to use towards an address, nil if it has none
// of that family.
func (h *Host) source(to netip.Addr) net.IP {
	return h.first(to.Is4()).AsSlice()
}

// Route has the host send what is for a net to a gateway on its link, or, of a router that
// has several, on the one that leads there.
func (h *Host) Route(to netip.Prefix, gateway netip.Addr) error {
	err := configure(h.ns, func(nl *netlink.Handle) error {
		return nl.RouteReplace(&netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("lab: route %s of %s to %s: %w", to, h.name, gateway, err)
	}
	return nil
}
