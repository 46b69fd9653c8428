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
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// stations is who is where, as the kernel has learned it from packets.
type stations struct {
	neighbours map[neighbour]net.HardwareAddr
	forwarding map[station]int // to ports of bridges
}

type neighbour struct {
	link int
	addr netip.Addr
}

// macLen is the length of an Ethernet address; others are of links that no bridge has.
const macLen = 6

// station is a hardware address behind a bridge.
type station struct {
	bridge int
	mac    string
}

// behind finds the port of a bridge behind which an address is.
func (s *search) behind(bridge netlink.Link, a netip.Addr) (port netlink.Link, reason miss, err error) {
	st, err := s.readStations()
	if err != nil {
		return nil, miss{}, err
	}
	at := bridge.Attrs()
	s.bridges[at.Index] = true
	mac, ok := st.neighbours[neighbour{at.Index, a}]
	if !ok {
		s.ask(at.Index, a)
		return nil, miss{NotYet, fmt.Sprintf("nobody on bridge %s has answered for %s yet", at.Name, a), ""}, nil
	}
	index, ok := st.forwarding[station{at.Index, string(mac)}]
	if !ok {
		s.forget(at.Index, a) // who has the address now may be somebody else
		s.ask(at.Index, a)
		return nil, miss{NotYet, fmt.Sprintf("bridge %s does not know at which port %s (%s) is", at.Name, mac, a), ""}, nil
	}
	port = s.links[index]
	if port == nil {
		return nil, miss{NotYet, fmt.Sprintf("the port of bridge %s that leads to %s is just going away", at.Name, a), ""}, nil
	}
	// A port that another pod has already is none for this one: a bridge believes
	// whatever packets say.
	for _, owner := range s.owners[index] {
		return nil, miss{NotYet, fmt.Sprintf("bridge %s has %s at port %s, which is that of %s/%s", at.Name, a, port.Attrs().Name, owner.Key.Namespace, owner.Key.Name), ""}, nil
	}
	return port, miss{}, nil
}

// readStations reads who is where, at the first call of a search.
func (s *search) readStations() (*stations, error) {
	if s.stations != nil {
		return s.stations, nil
	}
	st := &stations{map[neighbour]net.HardwareAddr{}, map[station]int{}}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := s.handle.NeighList(0, family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
		for _, n := range list {
			a, ok := netip.AddrFromSlice(n.IP)
			const known = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
			if ok && n.State&known != 0 && len(n.HardwareAddr) == macLen {
				st.neighbours[neighbour{n.LinkIndex, a.Unmap()}] = n.HardwareAddr
			}
		}
	}
	err := s.finder.eachForward(func(e *forward) {
		// Permanent entries are the hardware addresses of the ports themselves.
		if e.bridge != 0 && e.state&unix.NUD_PERMANENT == 0 {
			st.forwarding[station{e.bridge, string(e.mac)}] = e.link
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list what bridges forward: %w", err)
	}
	s.stations = st
	return st, nil
}

// ask has the kernel find a neighbour, as if it had a packet for it. The answer
// is a change that Watch sees.
func (s *search) ask(bridge int, a netip.Addr) {
	// If it fails, the kernel asks when the host has a packet for the pod.
	_ = s.handle.NeighSet(&netlink.Neigh{LinkIndex: bridge, Family: nl.GetIPFamily(a.AsSlice()), IP: a.AsSlice(), Flags: unix.NTF_USE, State: unix.NUD_NONE})
}

// forget has the kernel find a neighbour anew.
func (s *search) forget(bridge int, a netip.Addr) {
	_ = s.handle.NeighDel(&netlink.Neigh{LinkIndex: bridge, Family: nl.GetIPFamily(a.AsSlice()), IP: a.AsSlice()})
}

// bypass says which packets between a bridge's ports never meet the host's rules.
func bypass(bridge netlink.Link) []Bypass {
	var list []Bypass
	name := bridge.Attrs().Name
	for family, file := range map[int]string{4: "iptables", 6: "ip6tables"} {
		if !isOne("/proc/sys/net/bridge/bridge-nf-call-"+file) && !isOne(filepath.Join("/sys/class/net", name, "bridge/nf_call_"+file)) {
			list = append(list, Bypass{Bridge: name, Family: family})
		}
	}
	if b, ok := bridge.(*netlink.Bridge); ok && b.VlanFiltering != nil && *b.VlanFiltering && !isOne("/proc/sys/net/bridge/bridge-nf-filter-vlan-tagged") {
		list = append(list, Bypass{Bridge: name, Tagged: true})
	}
	return list
}

func isOne(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && strings.TrimSpace(string(text)) == "1"
}
