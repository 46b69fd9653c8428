package hostlink

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// Finder finds interfaces in one network namespace. It is not safe for
// concurrent use.
type Finder struct {
	handle *netlink.Handle
	socket *nl.SocketHandle // for what is decoded here
	pins   map[policy.Key]pin
	vxlan  vxlanEnds
}

// Open makes a Finder for the caller's network namespace. Close it after use.
func Open() (*Finder, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("find pods' interfaces: %w", err)
	}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("find pods' interfaces: %w", err)
	}
	return &Finder{handle: h, socket: &nl.SocketHandle{Socket: s}, pins: map[policy.Key]pin{}}, nil
}

// Close frees the sockets.
func (f *Finder) Close() {
	f.handle.Close()
	f.socket.Close()
}

// Find finds the interfaces of all local pods: the list is complete, and what is
// known of pods that are no longer on it is forgotten. It reads the host's interfaces and
// routes, and the tables of neighbours where they are needed; beside that it costs a
// look-up for each address.
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
			err = s.byName(ep)
		case s.hasPort(ep):
			err = s.found(ep, s.links[s.pins[ep.Key].link], byPort)
		default:
			rest = append(rest, ep)
		}
		if err != nil {
			return Result{}, fmt.Errorf("find the interface of %s/%s: %w", ep.Key.Namespace, ep.Key.Name, err)
		}
	}
	for _, ep := range rest {
		if err := s.byRoute(ep); err != nil {
			return Result{}, fmt.Errorf("find the interface of %s/%s: %w", ep.Key.Namespace, ep.Key.Name, err)
		}
	}
	r, err := s.result()
	if err != nil {
		return Result{}, fmt.Errorf("find pods' interfaces: %w", err)
	}
	f.remember(r)
	return r, nil
}

// search is one Find.
type search struct {
	finder  *Finder
	handle  *netlink.Handle
	pins    map[policy.Key]pin
	links   map[int]netlink.Link
	routing routing
	owners  map[int][]Endpoint // of interfaces: more than one is a reason
	unknown []Unknown
	bridges map[int]bool // that lead to pods
	// stations is read when it is first needed.
	stations *stations
}

func (f *Finder) newSearch() (*search, error) {
	links, err := f.handle.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	s := &search{finder: f, handle: f.handle, pins: f.pins, links: map[int]netlink.Link{}, owners: map[int][]Endpoint{}, bridges: map[int]bool{}}
	for _, l := range links {
		s.links[l.Attrs().Index] = l
	}
	return s, s.readRoutes()
}

func (s *search) bridge(index int) netlink.Link {
	if l := s.links[index]; l != nil && l.Type() == "bridge" {
		return l
	}
	return nil
}

// miss is why nothing was found.
type miss struct {
	cause Cause
	why   string
	link  string // the interface that it is about, if any
}

func (s *search) miss(ep Endpoint, m miss) {
	s.unknown = append(s.unknown, Unknown{Key: ep.Key, Reason: m.why, Cause: m.cause, Interface: m.link})
}

// evidence is what leads to an interface.
type evidence uint8

const (
	byRoute evidence = iota // to one of the pod's addresses alone
	byPort                  // of a bridge that has the pod's hardware address there
	byCNI                   // the plugin, or whoever else made the interface, named it
)

// found gives an interface to a pod, if it can be one's own.
func (s *search) found(ep Endpoint, l netlink.Link, by evidence) error {
	if master := l.Attrs().MasterIndex; s.bridge(master) != nil {
		s.bridges[master] = true
	}
	why, err := s.refusal(ep, l, by)
	if err != nil {
		return err
	}
	if why != "" {
		s.miss(ep, miss{Unfit, fmt.Sprintf("interface %s %s", l.Attrs().Name, why), l.Attrs().Name})
		return nil
	}
	s.owners[l.Attrs().Index] = append(s.owners[l.Attrs().Index], ep)
	return nil
}

// byName takes the interface that somebody named.
func (s *search) byName(ep Endpoint) error {
	if l := s.links[ep.Index]; l != nil {
		return s.found(ep, l, byCNI)
	}
	for _, l := range s.links {
		if ep.Index == 0 && l.Attrs().Name == ep.Interface {
			return s.found(ep, l, byCNI)
		}
	}
	s.miss(ep, miss{NoWay, fmt.Sprintf("there is no interface %s on this host", ep.Interface), ""})
	return nil
}

// byRoute asks the kernel where it would send packets for the pod: all of its
// addresses must lead to one interface, as far as they lead anywhere.
func (s *search) byRoute(ep Endpoint) error {
	var via netlink.Link
	by := byRoute
	why := miss{NotYet, "it has no address", ""}
	for _, a := range ep.Addrs {
		l, reason, err := s.towards(a)
		switch {
		case err != nil:
			return err
		case l == nil:
			why = reason
		case via != nil && via.Attrs().Index != l.Attrs().Index:
			s.miss(ep, miss{Unfit, fmt.Sprintf("its addresses lead to interfaces %s and %s", via.Attrs().Name, l.Attrs().Name), l.Attrs().Name})
			return nil
		default:
			via = l
		}
	}
	if via == nil {
		s.miss(ep, why)
		return nil
	}
	if s.bridge(via.Attrs().MasterIndex) != nil {
		by = byPort
	}
	return s.found(ep, via, by)
}

// towards returns the interface that leads to an address, or the reason why there is none.
func (s *search) towards(a netip.Addr) (l netlink.Link, reason miss, err error) {
	routes, err := s.handle.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	var errno unix.Errno
	if errors.As(err, &errno) {
		l, reason = s.elsewhere(a, fmt.Sprintf("there is no route to %s: %v", a, err))
		return l, reason, nil
	}
	if err != nil || len(routes) == 0 {
		return nil, miss{}, fmt.Errorf("route to %s: %w", a, err)
	}
	r := routes[0]
	to, ok := prefixOf(r.Dst)
	out := s.links[r.LinkIndex]
	why := ""
	switch {
	case r.Type != unix.RTN_UNICAST:
		return nil, miss{NoWay, fmt.Sprintf("%s is the host's own, or not to be reached", a), ""}, nil
	case !ok || to.Bits() == 0:
		why = fmt.Sprintf("there is no route to %s but the default route", a)
	case len(r.Gw) > 0 || r.Via != nil || len(r.MultiPath) > 0:
		why = fmt.Sprintf("the route to %s leads to a gateway", a)
	case out == nil:
		return nil, miss{NotYet, fmt.Sprintf("the interface that leads to %s is just going away", a), ""}, nil
	case out.Type() == "bridge":
		return s.behind(out, a)
	case !to.IsSingleIP():
		why = fmt.Sprintf("there is no route to %s alone, but to the whole of %s by interface %s", a, to, out.Attrs().Name)
	default:
		return out, miss{}, nil
	}
	l, reason = s.elsewhere(a, why)
	return l, reason, nil
}

// result sums up.
func (s *search) result() (Result, error) {
	tunnels, err := s.tunnels()
	if err != nil {
		return Result{}, err
	}
	ends, err := s.tunnelEnds()
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Tunnels: tunnels, TunnelEnds: ends, Overlay: s.overlay(tunnels),
		Routed: s.routing.routed, LocalAddrs: s.routing.local, ServiceAddrs: s.routing.services, LocalNets: s.routing.localNets,
	}
	for index, owners := range s.owners {
		if len(owners) > 1 {
			s.missShared(index, owners)
			continue
		}
		link, err := s.link(owners[0], s.links[index])
		if err != nil {
			return Result{}, err
		}
		r.Links = append(r.Links, link)
	}
	s.keepMACsApart(r.Links)
	r.Unknown = s.unknown
	slices.SortFunc(r.Links, func(a, b Link) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(r.Unknown, func(a, b Unknown) int { return a.Key.Compare(b.Key) })
	for index := range s.bridges {
		r.Bypass = append(r.Bypass, bypass(s.links[index])...)
	}
	for index, l := range s.links {
		r.Interfaces = append(r.Interfaces, Interface{l.Attrs().Name, index, l.Type(), l.Attrs().MasterIndex})
	}
	slices.SortFunc(r.Interfaces, func(a, b Interface) int { return a.Index - b.Index })
	slices.SortFunc(r.Bypass, func(a, b Bypass) int { return strings.Compare(a.String(), b.String()) })
	return r, nil
}

func (s *search) missShared(index int, owners []Endpoint) {
	var names []string
	for _, ep := range owners {
		names = append(names, ep.Key.Namespace+"/"+ep.Key.Name)
	}
	for _, ep := range owners {
		name := s.links[index].Attrs().Name
		s.miss(ep, miss{Unfit, fmt.Sprintf("interface %s leads to several: %s", name, strings.Join(names, ", ")), name})
	}
}

// link describes the interface of a pod.
func (s *search) link(ep Endpoint, l netlink.Link) (Link, error) {
	at := l.Attrs()
	link := Link{Key: ep.Key, Name: at.Name, Index: at.Index, Addrs: ep.Addrs, MAC: ep.MAC}
	if b := s.bridge(at.MasterIndex); b != nil {
		link.Bridge, link.BridgeIndex = b.Attrs().Name, b.Attrs().Index
	}
	if link.MAC == nil {
		mac, err := s.macOf(link)
		if err != nil {
			return Link{}, err
		}
		link.MAC = mac
	}
	return link, nil
}
