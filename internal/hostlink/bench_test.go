package hostlink

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
)

// BenchmarkFind looks for 50 pods, whose hardware addresses the CNI plugin told, on a host with few routes, and on one with a route to each of 10,000 nodes,
// all by one gateway, or each by the node itself, which is also where a VXLAN interface leads to.
func BenchmarkFind(b *testing.B) {
	lab.Require(b)
	l, err := lab.New(lab.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var endpoints []Endpoint
	for i := range 50 {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		if _, err := l.AddHost(lab.HostConfig{Name: fmt.Sprint("pod", i), Addrs: []netip.Addr{a}}); err != nil {
			b.Fatal(err)
		}
		endpoints = append(endpoints, Endpoint{Key: key(fmt.Sprint("pod", i)), Addrs: []netip.Addr{a}, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}})
	}
	if _, err := l.AddHost(lab.HostConfig{Name: "router", Addrs: addrs("192.0.2.1"), Interface: "up0"}); err != nil {
		b.Fatal(err)
	}
	err = l.Node().Do(func() error {
		f, err := Open()
		if err != nil {
			return err
		}
		defer f.Close()
		find := func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := f.Find(endpoints)
				if err != nil || len(r.Links) != len(endpoints) {
					b.Fatal(len(r.Links), err)
				}
			}
		}
		b.Run("few routes", func(b *testing.B) { inNode(b, l, func() { find(b) }) })
		up, err := f.handle.LinkByName("up0")
		if err != nil {
			return err
		}
		routes := func(gateway func(i int) net.IP) error {
			for i := range 10_000 {
				err := f.handle.RouteReplace(&netlink.Route{
					LinkIndex: up.Attrs().Index, Gw: gateway(i), Flags: int(netlink.FLAG_ONLINK),
					Dst: &net.IPNet{IP: net.IPv4(11, byte(i/256), byte(i%256), 0).To4(), Mask: net.CIDRMask(24, 32)},
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		if err := routes(func(int) net.IP { return net.IPv4(192, 0, 2, 1) }); err != nil {
			return err
		}
		b.Run("10000 routes", func(b *testing.B) { inNode(b, l, func() { find(b) }) })
		if err := routes(func(i int) net.IP { return net.IPv4(10, 1, byte(i/256), byte(i%256)) }); err != nil {
			return err
		}
		b.Run("10000 gateways", func(b *testing.B) { inNode(b, l, func() { find(b) }) })
		if err := manyEnds(f, 10_000); err != nil {
			return err
		}
		b.Run("10000 ends, read", func(b *testing.B) { inNode(b, l, func() { find(b) }) })
		f.vxlan.watch(true)
		b.Run("10000 ends, known", func(b *testing.B) { inNode(b, l, func() { find(b) }) })
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// manyEnds has a VXLAN interface with so many ends.
func manyEnds(f *Finder, n int) error {
	v := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "flannel.1"}, VxlanId: 1, Port: 8472}
	if err := f.handle.LinkAdd(v); err != nil {
		return err
	}
	for i := range n {
		err := f.handle.NeighAppend(&netlink.Neigh{
			LinkIndex: v.Index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF,
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}, IP: net.IPv4(10, 1, byte(i>>8), byte(i)),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inNode runs f on the node: a benchmark is a goroutine of its own.
func inNode(b *testing.B, l *lab.Lab, f func()) {
	b.Helper()
	if err := l.Node().Do(func() error { f(); return nil }); err != nil {
		b.Fatal(err)
	}
}
