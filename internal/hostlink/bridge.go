package hostlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// behind finds the port of a bridge behind which an address is.
func (s *search) behind(bridge netlink.Link, a netip.Addr) (port netlink.Link, reason string, err error) {
	if s.neighbours == nil {
		if err := s.readBridges(); err != nil {
			return nil, "", err
		}
	}
	at := bridge.Attrs()
	s.bridges[at.Index] = true
	mac, ok := s.neighbours[neighbour{at.Index, a}]
	if !ok {
		s.ask(at.Index, a)
		return nil, fmt.Sprintf("nobody on bridge %s has answered for %s yet", at.Name, a), nil
	}
	index, ok := s.forwarding[station{at.Index, string(mac)}]
	if !ok {
		s.forget(at.Index, a) // who has the address now may be somebody else
		s.ask(at.Index, a)
		return nil, fmt.Sprintf("bridge %s does not know at which port %s (%s) is", at.Name, mac, a), nil
	}
	port = s.links[index]
	if port == nil {
		return nil, fmt.Sprintf("the port of bridge %s that leads to %s is just going away", at.Name, a), nil
	}
	// A port that another pod has already is none for this one: a bridge believes
	// whatever packets say.
	for _, owner := range s.owners[index] {
		return nil, fmt.Sprintf("bridge %s has %s at port %s, which is that of %s/%s", at.Name, a, port.Attrs().Name, owner.Key.Namespace, owner.Key.Name), nil
	}
	return port, "", nil
}

// readBridges reads who is where behind bridges.
func (s *search) readBridges() error {
	s.neighbours, s.forwarding = map[neighbour]net.HardwareAddr{}, map[station]int{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := s.handle.NeighList(0, family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list neighbours: %w", err)
		}
		for _, n := range list {
			a, ok := netip.AddrFromSlice(n.IP)
			const known = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
			if ok && n.State&known != 0 && len(n.HardwareAddr) > 0 {
				s.neighbours[neighbour{n.LinkIndex, a.Unmap()}] = n.HardwareAddr
			}
		}
	}
	list, err := s.handle.NeighList(0, unix.AF_BRIDGE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list what bridges forward: %w", err)
	}
	for _, n := range list {
		// Permanent entries are the hardware addresses of the ports themselves.
		if n.MasterIndex != 0 && n.State&unix.NUD_PERMANENT == 0 {
			s.forwarding[station{n.MasterIndex, string(n.HardwareAddr)}] = n.LinkIndex
		}
	}
	return nil
}

// ask has the kernel find a neighbour, as if it had a packet for it. The answer
// is a change that Watch sees.
func (s *search) ask(bridge int, a netip.Addr) {
	// If it fails, the kernel asks when the host has a packet for the pod.
	_ = s.handle.NeighSet(&netlink.Neigh{LinkIndex: bridge, Family: familyOf(a), IP: a.AsSlice(), Flags: unix.NTF_USE, State: unix.NUD_NONE})
}

// forget has the kernel find a neighbour anew.
func (s *search) forget(bridge int, a netip.Addr) {
	_ = s.handle.NeighDel(&netlink.Neigh{LinkIndex: bridge, Family: familyOf(a), IP: a.AsSlice()})
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// bypass says for which families the packets between a bridge's ports never meet
// the host's rules.
func bypass(bridge string) []Bypass {
	var list []Bypass
	for family, file := range map[int]string{4: "iptables", 6: "ip6tables"} {
		if !isOne("/proc/sys/net/bridge/bridge-nf-call-"+file) && !isOne(filepath.Join("/sys/class/net", bridge, "bridge/nf_call_"+file)) {
			list = append(list, Bypass{bridge, family})
		}
	}
	return list
}

func isOne(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && strings.TrimSpace(string(text)) == "1"
}
