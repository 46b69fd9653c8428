package hostlink

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// refusal says why an interface cannot be a pod's own, to follow its name; empty if it can.
func (s *search) refusal(ep Endpoint, l netlink.Link, by evidence) (string, error) {
	at := l.Attrs()
	switch l.Type() {
	case "veth", "netkit":
		if at.NetNsID < 0 {
			return "ends on this host", nil
		}
	case "tun", "tuntap", "macvtap":
	default:
		return fmt.Sprintf("is a %s, which is no single pod's", l.Type()), nil
	}
	if b, found := s.routing.beyond[at.Index]; found && !(b.advertised && s.wasFound(ep, at.Index)) {
		return b.String(), nil
	}
	if by == byRoute {
		// Who made the interface may have given the pod more addresses than it said.
		if a := s.stranger(ep, at.Index); a.IsValid() {
			return fmt.Sprintf("leads to %s as well, which is not the pod's", a), nil
		}
	}
	return s.leadsToGateway(l)
}

// stranger returns an address that routes of an interface lead to and the pod does not have; the
// zero Addr if there is none.
func (s *search) stranger(ep Endpoint, link int) netip.Addr {
	for _, a := range s.routing.single[link] {
		if !slices.Contains(ep.Addrs, a) {
			return a
		}
	}
	return netip.Addr{}
}

// leadsToGateway says whether a port of a bridge is the one behind which a gateway of this
// host is: the uplink of a bridge that reaches beyond it.
func (s *search) leadsToGateway(port netlink.Link) (string, error) {
	bridge := s.bridge(port.Attrs().MasterIndex)
	if bridge == nil {
		return "", nil
	}
	at := bridge.Attrs()
	for _, gateway := range s.routing.gateways[at.Index] {
		st, err := s.readStations()
		if err != nil {
			return "", err
		}
		if mac, ok := st.neighbours[neighbour{at.Index, gateway}]; ok && st.forwarding[station{at.Index, string(mac)}] == port.Attrs().Index {
			return fmt.Sprintf("leads to %s, a gateway on bridge %s", gateway, at.Name), nil
		}
	}
	return "", nil
}
