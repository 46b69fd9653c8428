package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BridgeConfig describes a bridge of the node, as the bridge plugin and Flannel
// make them: hosts on it find each other by themselves, and the world by way of
// the node.
type BridgeConfig struct {
	// Name of the bridge's interface.
	Name string
	// Gateways are the node's addresses on the bridge, each with the length of the
	// net that the hosts are in: "10.244.1.1/24".
	Gateways []netip.Prefix
	// Node is the router that it is of; nil for the lab's node.
	Node *Host
}

// AddBridge makes a bridge of the node, for hosts that name it.
func (l *Lab) AddBridge(cfg BridgeConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg.Node = l.nodeOf(cfg.Node)
	switch {
	case l.closed:
		return fmt.Errorf("lab: add bridge %s: the lab is closed", cfg.Name)
	case l.bridge(cfg.Node, cfg.Name) != nil:
		return fmt.Errorf("lab: add bridge %s: there is one of that name", cfg.Name)
	}
	if err := configure(cfg.Node.ns, func(nl *netlink.Handle) error { return makeBridge(nl, cfg) }); err != nil {
		return fmt.Errorf("lab: add bridge %s: %w", cfg.Name, err)
	}
	l.bridges = append(l.bridges, cfg)
	return nil
}

func makeBridge(nl *netlink.Handle, cfg BridgeConfig) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = cfg.Name
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := nl.LinkAdd(br); err != nil {
		return err
	}
	for _, g := range cfg.Gateways {
		if err := nl.AddrAdd(br, &netlink.Addr{IPNet: ipNet(g)}); err != nil {
			return fmt.Errorf("add address %s: %w", g, err)
		}
	}
	return nl.LinkSetUp(br)
}

// bridge returns the description of a router's bridge; nil if there is none of that name.
func (l *Lab) bridge(node *Host, name string) *BridgeConfig {
	i := slices.IndexFunc(l.bridges, func(b BridgeConfig) bool { return b.Node == node && b.Name == name })
	if i < 0 {
		return nil
	}
	return &l.bridges[i]
}

// gatewayOf returns the gateway of the net that an address is in.
func (b *BridgeConfig) gatewayOf(a netip.Addr) (netip.Prefix, error) {
	for _, g := range b.Gateways {
		if g.Contains(a) {
			return g, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("bridge %s has no net for %s", b.Name, a)
}

// plug makes the node's side of a link a port of a bridge, and gives the host its
// addresses and the way out.
func (h *Host) plug(nodeSide, hostSide *netlink.Handle, outer, inner netlink.Link, b *BridgeConfig) error {
	br, err := nodeSide.LinkByName(b.Name)
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", b.Name, err)
	}
	if err := nodeSide.LinkSetMaster(outer, br); err != nil {
		return fmt.Errorf("plug %s into bridge %s: %w", h.iface, b.Name, err)
	}
	for _, a := range h.addrs {
		g, err := b.gatewayOf(a)
		if err != nil {
			return err
		}
		if err := hostSide.AddrAdd(inner, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, g.Bits()))}); err != nil {
			return fmt.Errorf("add address %s: %w", a, err)
		}
		all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if a.Is6() {
			all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		err = hostSide.RouteAdd(&netlink.Route{LinkIndex: inner.Attrs().Index, Dst: ipNet(all), Gw: g.Addr().AsSlice()})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("route to gateway %s: %w", g.Addr(), err)
		}
	}
	if err := waitUp(nodeSide, b.Name); err != nil {
		return err
	}
	for _, side := range []struct {
		nl   *netlink.Handle
		link netlink.Link
	}{{hostSide, inner}, {nodeSide, br}} {
		if h.Addr6().IsValid() {
			if err := waitUsable(side.nl, side.link); err != nil {
				return err
			}
		}
	}
	return nil
}
