package hostlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// Finder finds interfaces in one network namespace. It is not safe for
// concurrent use.
type Finder struct {
	handle *netlink.Handle
	pins   map[policy.Key]pin
}

// pin is a bridge's port that was found for a pod: it stays, whatever the bridge
// learns later from packets.
type pin struct {
	addrs []netip.Addr
	port  int
}

// Open makes a Finder for the caller's network namespace. Close it after use.
func Open() (*Finder, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("find pods' interfaces: %w", err)
	}
	return &Finder{handle: h, pins: map[policy.Key]pin{}}, nil
}

// Close frees the sockets.
func (f *Finder) Close() { f.handle.Close() }

// Find finds the interfaces of all local pods: the list is complete, and what is
// known of pods that are no longer on it is forgotten. It costs a look-up for each
// address, and reads the tables of neighbours where there are bridges.
func (f *Finder) Find(endpoints []Endpoint) (Result, error) {
	s, err := f.newSearch()
	if err != nil {
		return Result{}, fmt.Errorf("find pods' interfaces: %w", err)
	}
	sorted := slices.Clone(endpoints)
	slices.SortFunc(sorted, func(a, b Endpoint) int { return a.Key.Compare(b.Key) })
	// What is known for sure comes first: an interface that is taken is no other's.
	var rest []Endpoint
	for _, ep := range sorted {
		switch {
		case ep.Interface != "":
			s.byName(ep)
		case f.pinned(s, ep):
		default:
			rest = append(rest, ep)
		}
	}
	for _, ep := range rest {
		if err := s.byRoute(ep); err != nil {
			return Result{}, fmt.Errorf("find the interface of %s/%s: %w", ep.Key.Namespace, ep.Key.Name, err)
		}
	}
	r := s.result()
	f.remember(r)
	return r, nil
}

// pinned takes the port that was found before, if it is still there.
func (f *Finder) pinned(s *search, ep Endpoint) bool {
	p, ok := f.pins[ep.Key]
	if !ok || !slices.Equal(p.addrs, ep.Addrs) {
		return false
	}
	port := s.links[p.port]
	if port == nil || port.Attrs().MasterIndex == 0 || s.bridge(port.Attrs().MasterIndex) == nil {
		return false
	}
	s.found(ep, port)
	return true
}

func (f *Finder) remember(r Result) {
	clear(f.pins)
	for _, l := range r.Links {
		if l.Bridge != "" {
			f.pins[l.Key] = pin{l.Addrs, l.Index}
		}
	}
}

// search is one Find.
type search struct {
	handle  *netlink.Handle
	links   map[int]netlink.Link
	owners  map[int][]Endpoint // of interfaces: more than one is a reason
	unknown []Unknown
	bridges map[int]bool // that lead to pods

	// neighbours and forwarding are read when the first bridge is met.
	neighbours map[neighbour]net.HardwareAddr
	forwarding map[station]int
	uplinks    map[int]bool         // interfaces with a default route; nil: not read yet
	alone      map[netip.Addr][]int // links of routes to one address, of all tables; nil: not read yet
}

type neighbour struct {
	link int
	addr netip.Addr
}

// station is a hardware address behind a bridge.
type station struct {
	bridge int
	mac    string
}

func (f *Finder) newSearch() (*search, error) {
	links, err := f.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	s := &search{handle: f.handle, links: map[int]netlink.Link{}, owners: map[int][]Endpoint{}, bridges: map[int]bool{}}
	for _, l := range links {
		s.links[l.Attrs().Index] = l
	}
	return s, nil
}

func (s *search) bridge(index int) netlink.Link {
	if l := s.links[index]; l != nil && l.Type() == "bridge" {
		return l
	}
	return nil
}

func (s *search) miss(ep Endpoint, format string, args ...any) {
	s.unknown = append(s.unknown, Unknown{ep.Key, fmt.Sprintf(format, args...)})
}

// found returns an interface to a pod, if it can be one's own.
func (s *search) found(ep Endpoint, l netlink.Link) {
	name := l.Attrs().Name
	switch why, err := s.isShared(l); {
	case err != nil:
		s.miss(ep, "interface %s: %v", name, err)
	case why != "":
		s.miss(ep, "interface %s %s", name, why)
	default:
		s.owners[l.Attrs().Index] = append(s.owners[l.Attrs().Index], ep)
	}
	if master := l.Attrs().MasterIndex; s.bridge(master) != nil {
		s.bridges[master] = true
	}
}

// isShared says why an interface cannot be a pod's own; empty if it can.
func (s *search) isShared(l netlink.Link) (string, error) {
	switch l.Type() {
	case "veth", "netkit":
		if l.Attrs().NetNsID < 0 {
			return "ends on this host", nil
		}
	case "tun", "tuntap", "macvtap":
	default:
		return fmt.Sprintf("is a %s, which is no single pod's", l.Type()), nil
	}
	if s.uplinks == nil {
		if err := s.readUplinks(); err != nil {
			return "", err
		}
	}
	if s.uplinks[l.Attrs().Index] {
		return "has a default route, so that it leads to the world", nil
	}
	return "", nil
}

func (s *search) readUplinks() error {
	uplinks := map[int]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		// Of the main table. Tables for single pods (AWS) have default routes as
		// well, over the host's own interfaces.
		routes, err := s.handle.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: nil}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list default routes: %w", err)
		}
		for _, r := range routes {
			uplinks[r.LinkIndex] = true
			for _, hop := range r.MultiPath {
				uplinks[hop.LinkIndex] = true
			}
		}
	}
	s.uplinks = uplinks
	return nil
}

// byName takes the interface that somebody named.
func (s *search) byName(ep Endpoint) {
	for _, l := range s.links {
		if l.Attrs().Name == ep.Interface {
			s.found(ep, l)
			return
		}
	}
	s.miss(ep, "there is no interface %s on this host", ep.Interface)
}

// byRoute asks the kernel where it would send packets for the pod: all of its
// addresses must lead to one interface, as far as they lead anywhere.
func (s *search) byRoute(ep Endpoint) error {
	var via netlink.Link
	why := "it has no address"
	for _, a := range ep.Addrs {
		l, reason, err := s.towards(a)
		switch {
		case err != nil:
			return err
		case l == nil:
			why = reason
		case via != nil && via.Attrs().Index != l.Attrs().Index:
			s.miss(ep, "its addresses lead to interfaces %s and %s", via.Attrs().Name, l.Attrs().Name)
			return nil
		default:
			via = l
		}
	}
	if via == nil {
		s.miss(ep, "%s", why)
		return nil
	}
	s.found(ep, via)
	return nil
}

// towards returns the interface that leads to an address, or the reason why there is none.
func (s *search) towards(a netip.Addr) (l netlink.Link, reason string, err error) {
	routes, err := s.handle.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	var errno unix.Errno
	if errors.As(err, &errno) {
		return s.elsewhere(a, fmt.Sprintf("there is no route to %s: %v", a, err))
	}
	if err != nil || len(routes) == 0 {
		return nil, "", fmt.Errorf("route to %s: %w", a, err)
	}
	r := routes[0]
	switch {
	case r.Type != unix.RTN_UNICAST:
		return nil, fmt.Sprintf("%s is the host's own, or not to be reached", a), nil
	case isDefault(r.Dst):
		return s.elsewhere(a, fmt.Sprintf("there is no route to %s but the default route", a))
	case len(r.Gw) > 0 || r.Via != nil || len(r.MultiPath) > 0:
		return nil, fmt.Sprintf("the route to %s leads to a gateway", a), nil
	}
	out := s.links[r.LinkIndex]
	switch {
	case out == nil:
		return nil, fmt.Sprintf("the interface that leads to %s is just going away", a), nil
	case out.Type() == "bridge":
		return s.behind(out, a)
	}
	return out, "", nil
}

func isDefault(dst *net.IPNet) bool {
	if dst == nil {
		return true
	}
	ones, _ := dst.Mask.Size()
	return ones == 0
}

// result sums up.
func (s *search) result() Result {
	r := Result{Unknown: s.unknown}
	for index, owners := range s.owners {
		l := s.links[index].Attrs()
		if len(owners) > 1 {
			var names []string
			for _, ep := range owners {
				names = append(names, ep.Key.Namespace+"/"+ep.Key.Name)
			}
			for _, ep := range owners {
				s.miss(ep, "interface %s leads to several: %s", l.Name, strings.Join(names, ", "))
			}
			r.Unknown = s.unknown
			continue
		}
		link := Link{Key: owners[0].Key, Name: l.Name, Index: index, Addrs: owners[0].Addrs}
		if b := s.bridge(l.MasterIndex); b != nil {
			link.Bridge = b.Attrs().Name
		}
		r.Links = append(r.Links, link)
	}
	slices.SortFunc(r.Links, func(a, b Link) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(r.Unknown, func(a, b Unknown) int { return a.Key.Compare(b.Key) })
	for index := range s.bridges {
		r.Bypass = append(r.Bypass, bypass(s.links[index].Attrs().Name)...)
	}
	slices.SortFunc(r.Bypass, func(a, b Bypass) int { return strings.Compare(a.String(), b.String()) })
	return r
}
