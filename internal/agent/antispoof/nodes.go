package antispoof

import (
	"net"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
)

// nodeAddrs are the addresses of nodes, as nodes and the pods on them tell; other ends of tunnels are found by hostlink. In a cluster an
// agent does not watch other nodes, for their heartbeats; but their pods, which it watches
// anyway, say what their node's address is. An address that was once a node's stays: it
// is only where packets in packets may not go.
type nodeAddrs struct {
	known  map[netip.Addr]bool
	sorted []netip.Addr // those that are known; a new list with each change
}

// maxNodeAddrs bounds how many are kept.
const maxNodeAddrs = 1 << 16

// add takes in what a batch tells, and reports whether it is news.
func (n *nodeAddrs) add(b *store.Batch) (news bool) {
	if n.known == nil {
		n.known = map[netip.Addr]bool{}
	}
	take := func(text string) {
		a, err := netip.ParseAddr(text)
		if a = a.Unmap(); err == nil && !n.known[a] && len(n.known) < maxNodeAddrs {
			n.known[a], news = true, true
		}
	}
	for i := range b.Updated {
		switch o := b.Updated[i].Object.(type) {
		case *corev1.Node:
			for _, a := range o.Status.Addresses {
				take(a.Address) // names do not parse
			}
		case *corev1.Pod:
			take(o.Status.HostIP)
			for _, ip := range o.Status.HostIPs {
				take(ip.IP)
			}
		}
	}
	if news {
		n.sorted = make([]netip.Addr, 0, len(n.known))
		for a := range n.known {
			n.sorted = append(n.sorted, a)
		}
		slices.SortFunc(n.sorted, netip.Addr.Compare)
	}
	return news
}

// tunnelEnds returns who unpacks packets: nodes, at all addresses that are known, whoever this
// host's own tunnels lead to, and whoever a broadcast of its nets reaches; and at which further UDP ports.
func tunnelEnds(nodes *nodeAddrs, found *hostlink.Result) (addrs []netip.Addr, ports []uint16) {
	addrs = slices.Concat(nodes.sorted, found.LocalAddrs, found.TunnelEnds, broadcasts(), behindNodes(nodes, found))
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs), hostlink.UDPPorts(found.Tunnels)
}

// behindNodes returns addresses of other nodes that no object names: those of bridges, overlays and
// broadcasts in the nets that lie behind a node, which routes tell.
func behindNodes(nodes *nodeAddrs, found *hostlink.Result) []netip.Addr {
	var list []netip.Addr
	for _, r := range found.Routed {
		_, end := slices.BinarySearchFunc(found.TunnelEnds, r.Gateway, netip.Addr.Compare)
		if r.Overlay || end || nodes.known[r.Gateway] {
			list = append(list, r.Ends()...)
		}
	}
	return list
}

// broadcasts returns the broadcast addresses of the host's nets. That they cannot be read is
// no reason to do without the others.
func broadcasts() []netip.Addr {
	var list []netip.Addr
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		ipNet, ok := a.(*net.IPNet)
		if !ok || ipNet.IP.To4() == nil || ipNet.IP.IsLoopback() || len(ipNet.Mask) != net.IPv4len {
			continue
		}
		if ones, _ := ipNet.Mask.Size(); ones > 30 || ones == 0 {
			continue // there is none
		}
		b := [4]byte(ipNet.IP.To4())
		for i := range b {
			b[i] |= ^ipNet.Mask[i]
		}
		list = append(list, netip.AddrFrom4(b))
	}
	return list
}

// keepReservedGroups has the bridges of local endpoints learn nothing from frames about which no rule is
// asked. Where that cannot be had, a pod that may send raw frames can have frames for another come to itself.
func (c *Component) keepReservedGroups(links []dataplane.Link) {
	if c.cfg.KeepReservedGroups == nil {
		return
	}
	bridges := map[int]bool{}
	for _, l := range links {
		if l.Port && l.Bridge != 0 {
			bridges[l.Bridge] = true
		}
	}
	for index := range bridges {
		if c.kept[index] {
			continue
		}
		if err := c.cfg.KeepReservedGroups(index); err != nil {
			c.env.Log.Warn("this bridge learns hardware addresses from frames that meet no rule: a pod that may send raw frames can have frames for another come to itself",
				"error", err)
		}
	}
	c.kept = bridges
}
