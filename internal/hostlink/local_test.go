package hostlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestLocalAddrs has addresses of all sorts of places, and none that every host has.
func TestLocalAddrs(t *testing.T) {
	n := newNode(t)
	n.bridge()
	n.host("web", "", "10.0.0.2", "fd00::2")
	n.ip(func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "nodelocaldns"
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil { // this kernel has no dummy interfaces
			return err
		}
		dns, err := h.LinkByName("nodelocaldns")
		if err != nil {
			return err
		}
		attrs.Name = serviceLink
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return err
		}
		services, err := h.LinkByName(serviceLink)
		if err != nil {
			return err
		}
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, a := range []struct {
			link netlink.Link
			text string
		}{{dns, "169.254.20.10/32"}, {dns, "10.96.0.10/32"}, {services, "10.96.0.1/32"}, {dns, "192.0.2.9/24"}, {lo, "198.51.100.7/32"}, {lo, "2001:db8::7/128"}, {lo, "127.0.0.5/32"}} {
			addr, err := netlink.ParseAddr(a.text)
			if err == nil {
				err = h.AddrAdd(a.link, addr)
			}
			if err != nil {
				return fmt.Errorf("address %s: %w", a.text, err)
			}
		}
		// A range of its own, and the trick of transparent proxies, which is about marked packets only.
		for _, r := range []netlink.Route{
			{Dst: &net.IPNet{IP: net.IPv4(203, 0, 113, 0).To4(), Mask: net.CIDRMask(24, 32)}, Table: unix.RT_TABLE_LOCAL},
			{Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Table: 100},
		} {
			r.LinkIndex, r.Type, r.Scope = lo.Attrs().Index, unix.RTN_LOCAL, unix.RT_SCOPE_HOST
			if err := h.RouteAdd(&r); err != nil {
				return fmt.Errorf("route to %v: %w", r.Dst, err)
			}
		}
		return errors.Join(h.LinkSetUp(dns), h.LinkSetUp(services))
	})
	want := addrs("10.96.0.1", "10.96.0.10", "10.244.1.1", "169.254.20.10", "172.31.255.1", "192.0.2.9", "198.51.100.7", "2001:db8::7", "fd00:244::1", "fd00:7769:7265::1")
	r := n.find()
	// The kernel makes the route of an IPv6 address a moment after the address.
	for end := time.Now().Add(20 * time.Second); len(r.LocalAddrs) < len(want) && time.Now().Before(end); r = n.find() {
		time.Sleep(time.Millisecond)
	}
	if diff := cmp.Diff(want, r.LocalAddrs, compareAddrs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(addrs("10.96.0.1"), r.ServiceAddrs, compareAddrs); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if len(r.LocalNets) != 1 || r.LocalNets[0] != netip.MustParsePrefix("203.0.113.0/24") {
		t.Errorf("nets: %v", r.LocalNets)
	}
}

// TestWatchLocal holds that a new address of the host, and a rule of policy routing, are noticed.
func TestWatchLocal(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan bool, 1000), make(chan error, 1)
	go func() {
		done <- n.lab.Node().Do(func() error {
			return n.f.Watch(ctx, func(neighboursOnly bool) { changes <- neighboursOnly })
		})
	}()
	until := func(what string, holds func() bool) {
		t.Helper()
		for {
			select {
			case neighboursOnly := <-changes:
				if !neighboursOnly && holds() {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("not within 20 s: %s", what)
			}
		}
	}
	until("it watches", func() bool { return true })
	for _, text := range []string{"192.0.2.9/32", "2001:db8::9/128"} {
		a := netip.MustParsePrefix(text).Addr()
		n.ip(func(h *netlink.Handle) error {
			lo, err := h.LinkByName("lo")
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr(text)
			if err != nil {
				return err
			}
			return h.AddrAdd(lo, addr)
		})
		until("address "+text, func() bool { return slices.Contains(n.find().LocalAddrs, a) })
	}
	for len(changes) > 0 {
		<-changes
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		n.ip(func(h *netlink.Handle) error {
			rule := netlink.NewRule()
			rule.Table, rule.Priority, rule.Family = 7, 512, family
			return h.RuleAdd(rule)
		})
		until("a rule", func() bool { return true })
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
