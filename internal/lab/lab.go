package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netns"
)

// Config describes the node of a lab.
type Config struct {
	// Name of the node; "node" if empty.
	Name string
	// Addrs are the node's own addresses, which hosts can reach; 172.31.255.1 and
	// fd00:7769:7265::1 if there are none.
	Addrs []netip.Addr
}

// HostConfig describes a host of a lab.
type HostConfig struct {
	// Name of the host, unique in the lab.
	Name string
	// Addrs are the host's addresses, of either family, at least one. No two
	// hosts may share one.
	Addrs []netip.Addr
	// Nets are ranges of which the host owns every address, in addition to
	// Addrs: for hosts that stand for a whole network, such as the outside
	// world. Each needs an address of its family in Addrs.
	Nets []netip.Prefix
	// Interface is the name of the node's side of the link, at most 15 bytes;
	// "tw1", "tw2" and so on if empty. The host's side is always eth0.
	Interface string
	// Bridge is the bridge of the node that the host is plugged into; empty for a
	// link of its own. Nets must be empty then.
	Bridge string
	// Router has the host route, so that it can be the node of others.
	Router bool
	// Node is the router that the host's link leads to; nil for the lab's node.
	Node *Host
}

// Lab is a node with its hosts. Its methods may be called concurrently.
type Lab struct {
	node *Host

	mu      sync.RWMutex
	hosts   []*Host // in the order added, without the node
	links   int     // node-side interfaces made so far
	closed  bool
	publish []string       // files that Publish made
	bridges []BridgeConfig // with the node that each is of
}

// New makes a lab that has a node and no hosts yet. Close it after use.
func New(cfg Config) (*Lab, error) {
	if cfg.Name == "" {
		cfg.Name = "node"
	}
	if len(cfg.Addrs) == 0 {
		cfg.Addrs = []netip.Addr{
			netip.MustParseAddr("172.31.255.1"),
			netip.MustParseAddr("fd00:7769:7265::1"),
		}
	}
	l := &Lab{}
	l.node = &Host{lab: l, name: cfg.Name, addrs: slices.Clone(cfg.Addrs), ns: netns.None(), router: true}
	if err := l.node.setUpNode(); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("lab: set up node %s: %w", cfg.Name, err)
	}
	return l, nil
}

// AddHost makes a host and joins it to the node. When it returns, packets flow
// in both directions.
func (l *Lab) AddHost(cfg HostConfig) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("lab: add host %s: the lab is closed", cfg.Name)
	}
	if err := l.check(cfg); err != nil {
		return nil, fmt.Errorf("lab: add host %q: %w", cfg.Name, err)
	}
	l.links++
	if cfg.Interface == "" {
		cfg.Interface = fmt.Sprintf("tw%d", l.links)
	}
	h := &Host{
		lab: l, name: cfg.Name, iface: cfg.Interface, ns: netns.None(), router: cfg.Router,
		node: l.nodeOf(cfg.Node), bridge: l.bridge(l.nodeOf(cfg.Node), cfg.Bridge),
		addrs: slices.Clone(cfg.Addrs), nets: slices.Clone(cfg.Nets),
	}
	if err := h.setUpHost(); err != nil {
		_ = h.close()
		return nil, fmt.Errorf("lab: add host %s: %w", cfg.Name, err)
	}
	l.hosts = append(l.hosts, h)
	return h, nil
}

// check says what is wrong with the description of a host.
func (l *Lab) check(cfg HostConfig) error {
	if cfg.Name == "" || strings.ContainsFunc(cfg.Name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("a name is one word of ASCII characters")
	}
	if len(cfg.Interface) > maxInterfaceLen {
		return fmt.Errorf("interface %q is longer than %d bytes", cfg.Interface, maxInterfaceLen)
	}
	if len(cfg.Addrs) == 0 {
		return errors.New("it has no address")
	}
	node := l.nodeOf(cfg.Node)
	if !node.router || node != l.node && !slices.Contains(l.hosts, node) {
		return fmt.Errorf("%s is no router of this lab", node.name)
	}
	if cfg.Bridge != "" && l.bridge(node, cfg.Bridge) == nil {
		return fmt.Errorf("there is no bridge %s", cfg.Bridge)
	}
	if cfg.Bridge != "" && len(cfg.Nets) > 0 {
		return fmt.Errorf("a host on a bridge has no nets")
	}
	has := map[bool]bool{}
	for i, a := range cfg.Addrs {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			return fmt.Errorf("address %d (%s) is not a plain IPv4 or IPv6 address", i, a)
		}
		if slices.Contains(cfg.Addrs[:i], a) {
			return fmt.Errorf("address %s occurs twice", a)
		}
		has[a.Is4()] = true
	}
	for _, n := range cfg.Nets {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() {
			return fmt.Errorf("net %s is not a plain prefix without host bits", n)
		}
		if !has[n.Addr().Is4()] {
			return fmt.Errorf("net %s has no address of its family beside it", n)
		}
	}
	for _, h := range append([]*Host{l.node}, l.hosts...) {
		if h.name == cfg.Name {
			return errors.New("there is already a host of that name")
		}
		if cfg.Interface != "" && h.iface == cfg.Interface && h.node == node {
			return fmt.Errorf("interface %s leads to host %s already", cfg.Interface, h.name)
		}
		for _, a := range cfg.Addrs {
			if slices.Contains(h.addrs, a) {
				return fmt.Errorf("address %s belongs to host %s already", a, h.name)
			}
		}
	}
	return nil
}

// Remove ends a host with its servers and its link, as when a pod goes. Its
// connections are not closed first: the other ends see silence.
func (l *Lab) Remove(h *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.hosts, h)
	if i < 0 {
		return fmt.Errorf("lab: remove host %s: it is not in this lab", h.name)
	}
	l.hosts = slices.Delete(l.hosts, i, i+1)
	return errors.Join(h.node.removeLink(h.iface), h.close())
}

// Node returns the router.
func (l *Lab) Node() *Host { return l.node }

// nodeOf returns the router that a description means.
func (l *Lab) nodeOf(described *Host) *Host {
	if described == nil {
		return l.node
	}
	return described
}

// Hosts lists the hosts in the order in which they were added, without the node.
func (l *Lab) Hosts() []*Host {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.hosts)
}

// Host returns the host (or node) of that name, nil if there is none.
func (l *Lab) Host(name string) *Host {
	for _, h := range append(l.Hosts(), l.node) {
		if h.name == name {
			return h
		}
	}
	return nil
}

// Owner returns the host (or node) that an address belongs to: as one of its
// Addrs or else by the longest of the Nets; nil if there is none.
func (l *Lab) Owner(a netip.Addr) *Host {
	var owner *Host
	bits := -1
	for _, h := range append(l.Hosts(), l.node) {
		if slices.Contains(h.addrs, a) {
			return h
		}
		for _, n := range h.nets {
			if n.Contains(a) && n.Bits() > bits {
				owner, bits = h, n.Bits()
			}
		}
	}
	return owner
}

// Close ends all servers and lets go of all namespaces. Connections of the lab
// that are still open keep their namespace alive until they are closed.
// Calling it again does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	errs := []error{l.unpublish()}
	for _, h := range l.hosts {
		errs = append(errs, h.close())
	}
	errs = append(errs, l.node.close())
	return errors.Join(errs...)
}
