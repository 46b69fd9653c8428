package hostlink

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
)

// pin is what was found for a pod that a packet could have made the kernel believe: it
// stays, whatever the kernel learns later, as long as the interface exists and
// the pod has the same addresses.
type pin struct {
	addrs  []netip.Addr
	link   int
	bridge int              // that it is a port of; 0: none
	mac    net.HardwareAddr // nil: not known
}

func (f *Finder) remember(r Result) {
	clear(f.pins)
	for _, l := range r.Links {
		f.pins[l.Key] = pin{l.Addrs, l.Index, l.BridgeIndex, l.MAC}
	}
}

// wasFound reports whether an interface was found for a pod before.
func (s *search) wasFound(ep Endpoint, link int) bool {
	p, ok := s.pins[ep.Key]
	return ok && p.link == link && slices.Equal(p.addrs, ep.Addrs)
}

// hasPort reports whether the port of a bridge that was found for a pod is still there.
func (s *search) hasPort(ep Endpoint) bool {
	p, ok := s.pins[ep.Key]
	if !ok || p.bridge == 0 || !s.wasFound(ep, p.link) {
		return false
	}
	port := s.links[p.link]
	return port != nil && port.Attrs().MasterIndex == p.bridge && s.bridge(p.bridge) != nil
}

// macOf returns a pod's hardware address: what was known before, or else what the host's
// neighbour tables have for all of its addresses. Of a pod on a bridge it counts only
// if the bridge has it at the pod's port.
func (s *search) macOf(l Link) (net.HardwareAddr, error) {
	if p := s.pins[l.Key]; p.mac != nil && p.link == l.Index && p.bridge == l.BridgeIndex && slices.Equal(p.addrs, l.Addrs) {
		return p.mac, nil
	}
	st, err := s.readStations()
	if err != nil {
		return nil, err
	}
	at := l.Index
	if l.BridgeIndex != 0 {
		at = l.BridgeIndex
	}
	var mac net.HardwareAddr
	for _, a := range l.Addrs {
		switch found, ok := st.neighbours[neighbour{at, a}]; {
		case !ok:
		case mac != nil && !bytes.Equal(mac, found):
			return nil, nil
		default:
			mac = found
		}
	}
	if l.BridgeIndex != 0 && mac != nil && st.forwarding[station{l.BridgeIndex, string(mac)}] != l.Index {
		return nil, nil
	}
	return mac, nil
}

// keepMACsApart forgets hardware addresses that two pods of one bridge are said to have: one
// of them, at least, is a claim.
func (s *search) keepMACsApart(links []Link) {
	count := map[station]int{}
	for _, l := range links {
		count[station{l.BridgeIndex, string(l.MAC)}]++
	}
	for i, l := range links {
		if l.BridgeIndex != 0 && count[station{l.BridgeIndex, string(l.MAC)}] > 1 {
			links[i].MAC = nil
		}
	}
}
