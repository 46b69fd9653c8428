package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	maxInterfaceLen = 15
	hostInterface   = "eth0"
	// linkUpTimeout bounds the wait for a new link, which takes about a
	// millisecond.
	linkUpTimeout = 10 * time.Second
)

// What every host finds at the other end of its link. The gateways are no
// addresses of the node; the hosts know where they are without asking.
var (
	gateway4   = netip.MustParseAddr("169.254.1.1")
	gateway6   = netip.MustParseAddr("fe80::1")
	gatewayMAC = net.HardwareAddr{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}
)

// Settings of every namespace of a lab. Addresses are usable at once, without
// the second that duplicate address detection takes, and nothing but the
// lab's own traffic is on the links. Ports for connections are those that
// policy calls ephemeral.
var commonSettings = []setting{
	{"ipv4/ip_local_port_range", "49152 65535"},
	{"ipv4/conf/all/rp_filter", "0"},
	{"ipv4/conf/default/rp_filter", "0"},
	{"ipv6/conf/all/disable_ipv6", "0"},
	{"ipv6/conf/default/disable_ipv6", "0"},
	{"ipv6/conf/all/accept_dad", "0"},
	{"ipv6/conf/default/accept_dad", "0"},
	{"ipv6/conf/default/accept_ra", "0"},
	{"ipv6/conf/default/router_solicitations", "0"},
}

var asRouter = append(slices.Clone(commonSettings), setting{"ipv4/ip_forward", "1"}, setting{"ipv6/conf/all/forwarding", "1"})

// setting is a file below /proc/sys/net, as the thread's namespace shows it,
// and what to write.
type setting struct{ file, value string }

func (s setting) write() error {
	err := os.WriteFile("/proc/sys/net/"+s.file, []byte(s.value), 0)
	if errors.Is(err, fs.ErrNotExist) && s.file[:4] == "ipv6" {
		return nil // a kernel without IPv6: its addresses will be refused
	}
	return err
}

// baseNamespace is the network namespace that the process lives in. It stays
// open for as long as the process lives.
var baseNamespace = sync.OnceValues(netns.Get)

// newNamespace makes a network namespace, without leaving any thread in it.
func newNamespace() (netns.NsHandle, error) {
	base, err := baseNamespace()
	if err != nil {
		return netns.None(), err
	}
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // see Host.Do
		ns, err := netns.New()
		if err == nil {
			err = netns.Set(base)
		}
		if err == nil {
			runtime.UnlockOSThread()
		}
		made <- result{ns, err}
	}()
	r := <-made
	return r.ns, r.err
}

// configure runs f with the namespace's routing configuration at hand.
func configure(ns netns.NsHandle, f func(*netlink.Handle) error) error {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return f(h)
}

// setUp makes the host's namespace with its settings and its loopback interface.
func (h *Host) setUp(settings ...setting) error {
	ns, err := newNamespace()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	h.ns = ns
	err = h.Do(func() error {
		for _, s := range settings {
			if err := s.write(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return configure(ns, func(nl *netlink.Handle) error {
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if err := nl.LinkSetUp(lo); err != nil {
			return fmt.Errorf("set lo up: %w", err)
		}
		for _, n := range h.nets {
			if err := addLocalRange(nl, lo, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// addLocalRange makes every address of a range the host's own.
func addLocalRange(nl *netlink.Handle, lo netlink.Link, n netip.Prefix) error {
	err := nl.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: ipNet(n), Type: unix.RTN_LOCAL,
		Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST,
	})
	if err != nil {
		return fmt.Errorf("own %s: %w", n, err)
	}
	return nil
}

func (h *Host) setUpNode() error {
	if err := h.setUp(asRouter...); err != nil {
		return err
	}
	return configure(h.ns, func(nl *netlink.Handle) error {
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if err := addAddrs(nl, lo, h.addrs); err != nil {
			return err
		}
		return waitUsable(nl, lo)
	})
}

func (h *Host) setUpHost() error {
	settings := commonSettings
	if h.router {
		settings = asRouter
	}
	if err := h.setUp(settings...); err != nil {
		return err
	}
	return configure(h.node.ns, func(nodeSide *netlink.Handle) error {
		return configure(h.ns, func(hostSide *netlink.Handle) error {
			return h.join(nodeSide, hostSide)
		})
	})
}

// join makes the link between node and host and waits until it carries packets.
func (h *Host) join(nodeSide, hostSide *netlink.Handle) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = h.iface, gatewayMAC
	if h.bridge != nil {
		attrs.HardwareAddr = nil // ports of one bridge differ
	}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: hostInterface, PeerNamespace: netlink.NsFd(h.ns)}
	if err := nodeSide.LinkAdd(veth); err != nil {
		return fmt.Errorf("make link %s: %w", h.iface, err)
	}
	inner, err := hostSide.LinkByName(hostInterface)
	if err != nil {
		return fmt.Errorf("find the host's %s: %w", hostInterface, err)
	}
	outer, err := nodeSide.LinkByName(h.iface)
	if err != nil {
		return fmt.Errorf("find the node's %s: %w", h.iface, err)
	}
	for _, up := range []error{hostSide.LinkSetUp(inner), nodeSide.LinkSetUp(outer)} {
		if up != nil {
			return fmt.Errorf("set link %s up: %w", h.iface, up)
		}
	}
	if err := waitUp(hostSide, hostInterface); err != nil {
		return err
	}
	if err := waitUp(nodeSide, h.iface); err != nil {
		return err
	}
	if h.bridge != nil {
		return h.plug(nodeSide, hostSide, outer, inner, h.bridge)
	}
	if err := addAddrs(hostSide, inner, h.addrs); err != nil {
		return err
	}
	if err := h.routeOut(hostSide, inner); err != nil {
		return err
	}
	if err := h.routeIn(nodeSide, outer); err != nil {
		return err
	}
	if !h.Addr6().IsValid() {
		return nil
	}
	if err := waitUsable(hostSide, inner); err != nil {
		return err
	}
	return waitUsable(nodeSide, outer)
}

// waitUp waits until the interface carries packets. An interface that was just
// set up drops them for a moment; one lost SYN would cost a second.
func waitUp(nl *netlink.Handle, name string) error {
	return poll(func() (bool, error) {
		link, err := nl.LinkByName(name)
		if err != nil {
			return false, fmt.Errorf("find %s: %w", name, err)
		}
		return link.Attrs().OperState == netlink.OperUp, nil
	}, name+" is not up")
}

// waitUsable waits until all IPv6 addresses of the interface are usable, its
// link-local one too, which the kernel makes in its own time. Before that, the
// interface neither asks for its neighbours nor answers them; the next question
// would come a second later.
func waitUsable(nl *netlink.Handle, link netlink.Link) error {
	return poll(func() (bool, error) {
		addrs, err := nl.AddrList(link, unix.AF_INET6)
		if err != nil {
			return false, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
		}
		hasLinkLocal := link.Attrs().Flags&net.FlagLoopback != 0 // which needs none
		for _, a := range addrs {
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				return false, nil
			}
			hasLinkLocal = hasLinkLocal || a.IP.IsLinkLocalUnicast()
		}
		return hasLinkLocal, nil
	}, link.Attrs().Name+" has no usable IPv6 addresses")
}

// poll waits for a condition that the kernel brings about on its own.
func poll(condition func() (bool, error), otherwise string) error {
	for deadline := time.Now().Add(linkUpTimeout); ; time.Sleep(200 * time.Microsecond) {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %s", otherwise, linkUpTimeout)
		}
	}
}

func (h *Host) removeLink(name string) error {
	return configure(h.ns, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		return nl.LinkDel(link)
	})
}
