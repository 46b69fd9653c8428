package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of every cluster; see the package's documentation.
const (
	controlPlaneIP = "172.29.0.1"
	servicesNet4   = "10.96.0.0/16"
	servicesNet6   = "fd00:96::/112"
	podsNet4       = "10.244.0.0/16"
	podsNet6       = "fd00:244::/48"
	// DNSServiceIP is where pods look for the cluster's DNS. Nobody is there.
	DNSServiceIP = "10.96.0.10"
)

const switchName = "nodes"

// IP is the node's own IPv4 address.
func (n *Node) IP() netip.Addr { return n.addresses()[0].Addr() }

// IP6 is the node's own IPv6 address.
func (n *Node) IP6() netip.Addr { return n.addresses()[1].Addr() }

// addresses returns the host's addresses of both families, with their nets.
func (n *Node) addresses() []netip.Prefix {
	last := 1
	if n.index > 0 {
		last = 10 + n.index
	}
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("172.29.0.%d/24", last)),
		netip.MustParsePrefix(fmt.Sprintf("fd00:29::%d/64", last)),
	}
}

// PodNets returns the nets of the addresses that the node's pods get, IPv4 first. The second
// is in use in a dual-stack cluster only.
func (n *Node) PodNets() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", n.index)),
		netip.MustParsePrefix(fmt.Sprintf("fd00:244:0:%d::/64", n.index)),
	}
}

var routerSettings = map[string]string{
	"ipv4/ip_forward":                 "1",
	"ipv4/conf/all/rp_filter":         "0",
	"ipv4/conf/default/rp_filter":     "0",
	"ipv6/conf/all/forwarding":        "1",
	"ipv6/conf/default/accept_ra":     "0",
	"ipv6/conf/default/accept_dad":    "0", // addresses are usable at once
	"bridge/bridge-nf-call-iptables":  "0", // a bridge is a switch here, and filters nothing
	"bridge/bridge-nf-call-ip6tables": "0",
}

// writeSettings writes settings of the thread's network namespace.
func writeSettings() error {
	for file, value := range routerSettings {
		err := os.WriteFile(filepath.Join("/proc/sys/net", file), []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// filterBridges has what passes a bridge of the thread's network namespace meet the rules for IP.
func filterBridges() error {
	for _, file := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		if err := os.WriteFile(filepath.Join("/proc/sys/net/bridge", file), []byte("1"), 0); err != nil {
			return fmt.Errorf("pods on a bridge need br_netfilter: %w", err)
		}
	}
	return nil
}

// inNetwork calls f with the host's interfaces and routes.
func inNetwork(h *host, f func(ns netns.NsHandle, nl *netlink.Handle) error) error {
	ns, err := netns.GetFromPid(h.pid)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	nl, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	return f(ns, nl)
}

// makeSwitch makes the control plane's network: a switch that all nodes are plugged into.
func (c *Cluster) makeSwitch(cp *host) error {
	if err := enter(cp.pidfd, unix.CLONE_NEWNET, writeSettings); err != nil {
		return err
	}
	return inNetwork(cp, func(_ netns.NsHandle, nl *netlink.Handle) error {
		if err := setUp(nl, "lo"); err != nil {
			return err
		}
		if err := nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: switchName}}); err != nil {
			return err
		}
		return setUp(nl, switchName, c.cp.addresses()...)
	})
}

// plugIn connects a node to the switch, with routes to the pods of all nodes.
func (c *Cluster) plugIn(n *Node, h *host) error {
	settings := writeSettings
	if c.options.Bridge {
		settings = func() error { return errors.Join(writeSettings(), filterBridges()) }
	}
	if err := enter(h.pidfd, unix.CLONE_NEWNET, settings); err != nil {
		return err
	}
	return inNetwork(h, func(ns netns.NsHandle, nl *netlink.Handle) error {
		if err := setUp(nl, "lo"); err != nil {
			return err
		}
		if err := inNetwork(c.cp.current(), func(_ netns.NsHandle, cp *netlink.Handle) error { return c.cable(n, ns, cp) }); err != nil {
			return err
		}
		if err := setUp(nl, "eth0", n.addresses()...); err != nil {
			return err
		}
		for i, gateway := range c.cp.addresses() {
			everywhere := netip.PrefixFrom([]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[i], 0)
			if err := addRoute(nl, "eth0", everywhere, gateway.Addr()); err != nil {
				return err
			}
		}
		for i := 1; i <= MaxNodes; i++ {
			if i == n.index {
				continue
			}
			if err := (&Node{index: i}).routePods(nl, "eth0"); err != nil {
				return err
			}
		}
		return nil
	})
}

// cable makes the pair of interfaces between the switch and the node's eth0.
func (c *Cluster) cable(n *Node, ns netns.NsHandle, cp *netlink.Handle) error {
	bridge, err := cp.LinkByName(switchName)
	if err != nil {
		return err
	}
	// The kernel takes its time to remove what was in the namespace of the last boot.
	if old, err := cp.LinkByName(n.name); err == nil {
		if err := cp.LinkDel(old); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("remove the old cable: %w", err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = n.name, bridge.Attrs().Index
	err = cp.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns)),
		PeerHardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, byte(n.index)}, // the same after a reboot: neighbours remember it
	})
	if err != nil {
		return fmt.Errorf("make the cable: %w", err)
	}
	if err := setUp(cp, n.name); err != nil {
		return err
	}
	return n.routePods(cp, switchName)
}

// routePods makes the routes to the node's pods.
func (n *Node) routePods(nl *netlink.Handle, link string) error {
	for i, pods := range n.PodNets() {
		if err := addRoute(nl, link, pods, n.addresses()[i].Addr()); err != nil {
			return err
		}
	}
	return nil
}

// setUp returns an interface its addresses, and sets it up.
func setUp(nl *netlink.Handle, name string, addresses ...netip.Prefix) error {
	link, err := nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	for _, a := range addresses {
		if err := nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("interface %s: address %s: %w", name, a, err)
		}
	}
	if err := nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s: set up: %w", name, err)
	}
	return nil
}

func addRoute(nl *netlink.Handle, link string, to netip.Prefix, via netip.Addr) error {
	l, err := nl.LinkByName(link)
	if err != nil {
		return fmt.Errorf("interface %s: %w", link, err)
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(to), Gw: via.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
	if err := nl.RouteReplace(route); err != nil { // the switch has it already when a node is rebooted
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
