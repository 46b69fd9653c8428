package hostlink

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// elsewhere looks for a route to this address alone in all tables: the host's own packets may go another way than
// those that come from the pod's network (AWS, pods with security groups). If there is none, the reason stays.
func (s *search) elsewhere(a netip.Addr, reason string) (l netlink.Link, why string, err error) {
	if s.alone == nil {
		if err := s.readAlone(); err != nil {
			return nil, "", err
		}
	}
	links := s.alone[a]
	switch len(links) {
	case 0:
		return nil, reason, nil
	case 1:
		return s.links[links[0]], "", nil
	}
	return nil, fmt.Sprintf("tables of routes lead to %s by interfaces %s and %s", a, s.links[links[0]].Attrs().Name, s.links[links[1]].Attrs().Name), nil
}

// readAlone reads which routes of all tables lead to one address, by an interface and no gateway. It is read once, for
// all addresses: a host may have very many routes.
func (s *search) readAlone() error {
	s.alone = map[netip.Addr][]int{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := s.handle.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			if r.Dst == nil || r.Type != unix.RTN_UNICAST || len(r.Gw) > 0 || r.Via != nil || len(r.MultiPath) > 0 {
				continue
			}
			a, ok := netip.AddrFromSlice(r.Dst.IP)
			a = a.Unmap()
			ones, _ := r.Dst.Mask.Size()
			l := s.links[r.LinkIndex]
			if !ok || ones != a.BitLen() || l == nil || l.Type() == "bridge" || slices.Contains(s.alone[a], r.LinkIndex) {
				continue
			}
			s.alone[a] = append(s.alone[a], r.LinkIndex)
		}
	}
	return nil
}
