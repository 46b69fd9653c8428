package hostlink

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// Where this host's own tunnels lead to, others unpack what they are sent. The kernel knows such
// ends from four places:
//
//   - interfaces that lead to one end (remote);
//   - forwarding tables of VXLAN interfaces, with an end for each hardware address (bridge fdb, dst);
//   - routes that have packets put in a tunnel (encap ip dst);
//   - routes by interfaces of IP in IP and GRE without a remote: their gateways.
//
// Whom a program of eBPF or Open vSwitch sends to, the kernel does not know.

// maxTunnelEnds is how many ends are told. Those that a VXLAN interface has learned from packets
// are the first to be left out: whoever can send it packets chooses how many there are.
const maxTunnelEnds = 1 << 14

// tunnelEnds returns the ends, in order.
func (s *search) tunnelEnds() ([]netip.Addr, error) {
	given := slices.Clone(s.routing.ends)
	vxlan := false
	for index, l := range s.links {
		remote := remoteOf(l)
		given = append(given, remote)
		if !remote.IsValid() && usesGateways(l) {
			given = append(given, s.routing.gateways[index]...)
		}
		vxlan = vxlan || l.Type() == "vxlan"
	}
	var learned []netip.Addr
	if vxlan {
		fixed, fromPackets, err := s.finder.vxlan.read(s.finder.eachForward)
		if err != nil {
			return nil, fmt.Errorf("list what VXLAN interfaces forward: %w", err)
		}
		given, learned = append(given, fixed...), fromPackets
	}
	given = slices.DeleteFunc(given, func(a netip.Addr) bool { return !canUnpack(a) })
	ends := sortedAddrs(given)
	ends = ends[:min(len(ends), maxTunnelEnds)]
	for _, a := range learned {
		if len(ends) < maxTunnelEnds && canUnpack(a) {
			ends = append(ends, a)
		}
	}
	return sortedAddrs(ends), nil
}

// canUnpack reports whether an address is one of a host; groups and everybody are no ends to be listed.
func canUnpack(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// remoteOf returns the one end that an interface leads to; the zero Addr if there is none.
func remoteOf(l netlink.Link) netip.Addr {
	var remote net.IP
	switch t := l.(type) {
	case *netlink.Vxlan:
		remote = t.Group
	case *netlink.Geneve:
		remote = t.Remote
	case *netlink.Iptun:
		remote = t.Remote
	case *netlink.Sittun:
		remote = t.Remote
	case *netlink.Ip6tnl:
		remote = t.Remote
	case *netlink.Gretun:
		remote = t.Remote
	case *netlink.Gretap:
		remote = t.Remote
	}
	a, _ := netip.AddrFromSlice(remote)
	if a = a.Unmap(); !a.IsValid() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// usesGateways reports whether an interface without a remote sends to the gateways of its routes.
func usesGateways(l netlink.Link) bool {
	switch t := l.(type) {
	case *netlink.Iptun:
		return !t.FlowBased
	case *netlink.Ip6tnl:
		return !t.FlowBased
	case *netlink.Gretun:
		return !t.FlowBased
	}
	return false
}

// vxlanEnds are the ends in the forwarding tables of VXLAN interfaces. To read these is to read what
// all bridges and VXLAN interfaces have learned, which may be long (10,000 entries take 8 ms: BenchmarkFind); a pod that
// starts changes nothing there. So they are read again when Watch has seen a new end, and beside that now and then.
type vxlanEnds struct {
	mu             sync.Mutex
	fixed, learned []netip.Addr
	known          map[netip.Addr]bool
	at             time.Time // when they were read
	watched        bool      // by Watch, so that a new one is noticed
	stale          bool
}

// vxlanRefresh is after how long the ends are read again although none is known to have changed: those that are gone
// and those that were learned are nothing to hurry for. It is less than the agent's interval between checks.
const vxlanRefresh = 20 * time.Second

// read returns the ends that somebody has set, and those that were learned from packets; in order, with none in both.
func (v *vxlanEnds) read(each func(func(*forward)) error) (fixed, learned []netip.Addr, err error) {
	v.mu.Lock()
	fresh := v.watched && !v.stale && time.Since(v.at) < vxlanRefresh
	fixed, learned = v.fixed, v.learned
	if !fresh {
		v.stale, v.at = false, time.Now() // what changes from here on is seen the next time
	}
	v.mu.Unlock()
	if fresh {
		return fixed, learned, nil
	}
	fixed, learned = nil, nil
	known := map[netip.Addr]bool{}
	err = each(func(e *forward) {
		switch {
		case !e.end.IsValid():
		case e.isLearned():
			learned = append(learned, e.end)
		case !known[e.end]:
			known[e.end] = true
			fixed = append(fixed, e.end)
		}
	})
	learned = slices.DeleteFunc(sortedAddrs(learned), func(a netip.Addr) bool { return known[a] })
	fixed = sortedAddrs(fixed)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.stale = true
		return nil, nil, err
	}
	v.fixed, v.learned, v.known = fixed, learned, known
	return fixed, learned, nil
}

// watch says whether new ends are told of. What has changed before is not known.
func (v *vxlanEnds) watch(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watched, v.stale = on, true
}

// lost says that some were not told of.
func (v *vxlanEnds) lost() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stale = true
}

// isNews takes in a new entry, and reports whether its end is one that somebody has set and that is not known.
func (v *vxlanEnds) isNews(e *forward) bool {
	if !e.end.IsValid() || e.isLearned() {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known[e.end] {
		return false
	}
	v.stale = true
	return true
}
