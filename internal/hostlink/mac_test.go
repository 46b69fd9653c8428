package hostlink

import (
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// macIn returns the hardware address that an interface of a host has.
func (n *node) macIn(host, link string) (mac net.HardwareAddr) {
	n.t.Helper()
	if err := n.lab.Host(host).Do(func() error {
		i, err := net.InterfaceByName(link)
		if err == nil {
			mac = i.HardwareAddr
		}
		return err
	}); err != nil {
		n.t.Fatal(err)
	}
	return mac
}

// TestMAC: what the CNI plugin told counts, or else what the kernel has learned at the pod's own port; it stays.
func TestMAC(t *testing.T) {
	n := newNode(t)
	n.bridge()
	web := n.host("web", "cni0", "10.244.1.2", "fd00:244::2")
	n.host("db", "cni0", "10.244.1.3")
	webPod, dbPod := pod("web", "10.244.1.2", "fd00:244::2"), pod("db", "10.244.1.3")
	r := n.until(webPod, dbPod)
	of := func(name string) net.HardwareAddr {
		for _, l := range r.Links {
			if l.Key.Name == name {
				return l.MAC
			}
		}
		return nil
	}
	same := func(name string, want net.HardwareAddr) {
		t.Helper()
		if got := of(name); got.String() != want.String() {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	same("web", n.macIn("web", "eth0"))
	same("db", n.macIn("db", "eth0"))
	for _, l := range r.Links {
		n.do(func() error {
			br, err := net.InterfaceByName("cni0")
			if err == nil && br.Index != l.BridgeIndex {
				err = fmt.Errorf("cni0 has number %d, not %d", br.Index, l.BridgeIndex)
			}
			return err
		})
	}
	// A neighbour entry that somebody made the kernel believe changes nothing that is known ...
	poison := func() {
		n.ip(func(h *netlink.Handle) error {
			br, err := h.LinkByName("cni0")
			if err != nil {
				return err
			}
			return h.NeighSet(&netlink.Neigh{LinkIndex: br.Attrs().Index, Family: unix.AF_INET, IP: net.IPv4(10, 244, 1, 3), HardwareAddr: of("web"), State: unix.NUD_REACHABLE})
		})
	}
	poison()
	webMAC, dbMAC := of("web"), of("db")
	r = n.find(webPod, dbPod)
	same("db", dbMAC)
	// ... and is not believed by whoever begins with it: the address is not at the pod's port.
	clear(n.f.pins)
	named := dbPod
	named.Interface = n.lab.Host("db").Interface()
	r = n.find(webPod, named)
	same("web", webMAC)
	same("db", nil)
	// What the CNI plugin told counts, whatever the kernel has.
	told := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	named = webPod
	named.Interface, named.MAC = web.Interface(), told
	r = n.find(named, dbPod)
	same("web", told)
}

// TestMACRouted has a pod on a link of its own, which the host knows as a neighbour.
func TestMACRouted(t *testing.T) {
	n := newNode(t)
	web := n.host("web", "", "10.0.0.2")
	n.ip(func(h *netlink.Handle) error {
		l, err := h.LinkByName(web.Interface())
		if err != nil {
			return err
		}
		return h.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_INET, IP: net.IPv4(10, 0, 0, 2), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}, State: unix.NUD_REACHABLE})
	})
	if l := n.find(pod("web", "10.0.0.2")).Links[0]; l.MAC.String() != "02:00:00:00:00:09" || l.BridgeIndex != 0 {
		t.Errorf("got %+v", l)
	}
}
