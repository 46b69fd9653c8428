package agent

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
)

// TestTunnelEndsOfTheKernel: what a pod packs up for an end that only a forwarding table of VXLAN names, no node
// and no pod, is dropped as soon as the table names it. The next regular check is an hour away.
func TestTunnelEndsOfTheKernel(t *testing.T) {
	h := newHost(t)
	end := netip.MustParseAddr("192.0.2.9")
	far, err := h.lab.AddHost(lab.HostConfig{Name: "far", Addrs: []netip.Addr{end}})
	if err != nil {
		t.Fatal(err)
	}
	onNode := func(f func() error) {
		t.Helper()
		if err := h.lab.Node().Do(f); err != nil {
			t.Fatal(err)
		}
	}
	var overlay netlink.Link = &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "flannel.1"}, VxlanId: 1, Port: 8472}
	var refused error
	onNode(func() error { refused = netlink.LinkAdd(overlay); return nil })
	if errors.Is(refused, unix.EOPNOTSUPP) {
		t.Skip("SKIPPED: this kernel has no VXLAN")
	}
	onNode(func() (err error) { overlay, err = netlink.LinkByName("flannel.1"); return errors.Join(refused, err) })
	h.startAgent()

	capture, err := far.Capture()
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	// arrives reports whether a packet for a port arrives before one that is sent after it for another.
	arrives := func(port uint16) (there bool) {
		t.Helper()
		packet := func(port uint16, text string) []byte {
			return lab.UDPPacket(netip.AddrPortFrom(h.db.Addr4(), 4000), netip.AddrPortFrom(end, port), text)
		}
		if err := h.db.SendPackets(packet(port, "packed up"), packet(9999, "marker")); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; {
			frame, err := capture.Next(time.Until(deadline))
			switch {
			case err != nil:
				t.Fatalf("the marker did not arrive: %v", err)
			case strings.Contains(string(frame), "marker"):
				return there
			case strings.Contains(string(frame), "packed up"):
				there = true
			}
		}
	}
	for _, port := range []uint16{8472, 53} {
		if !arrives(port) {
			t.Fatalf("port %d: dropped, although nobody there is known to unpack", port)
		}
	}
	onNode(func() error {
		return netlink.NeighAppend(&netlink.Neigh{
			LinkIndex: overlay.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF,
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}, IP: end.AsSlice(),
		})
	})
	h.eventually("what is packed up is dropped", func() bool { return !arrives(8472) })
	if !arrives(53) {
		t.Error("so is what is not")
	}
	var dropped uint64
	for _, g := range h.status().Guards.Guards {
		if g.Guard == dataplane.GuardEncapsulation {
			dropped = g.Packets
		}
	}
	if dropped == 0 {
		t.Error("the guard has not counted it")
	}
}
