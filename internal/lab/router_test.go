package lab

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestRouters has a cluster of two nodes on one net, one with its pods on a bridge and one
// with links of their own.
func TestRouters(t *testing.T) {
	l := world(t)
	lan := []netip.Prefix{netip.MustParsePrefix("192.168.50.254/24"), netip.MustParsePrefix("fd50::fe/64")}
	if err := l.AddBridge(BridgeConfig{Name: "lan0", Gateways: lan}); err != nil {
		t.Fatal(err)
	}
	add := func(cfg HostConfig) *Host {
		t.Helper()
		h, err := l.AddHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := add(HostConfig{Name: "node-1", Addrs: addrs("192.168.50.1", "fd50::1"), Bridge: "lan0", Router: true})
	second := add(HostConfig{Name: "node-2", Addrs: addrs("192.168.50.2", "fd50::2"), Bridge: "lan0", Router: true})
	err := l.AddBridge(BridgeConfig{Name: "cni0", Node: first, Gateways: []netip.Prefix{
		netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244:1::1/64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	a := add(HostConfig{Name: "a", Addrs: addrs("10.244.1.2", "fd00:244:1::2"), Node: first, Bridge: "cni0"})
	c := add(HostConfig{Name: "c", Addrs: addrs("10.244.2.2", "fd00:244:2::2"), Node: second})
	for pods, via := range map[string]*Host{"10.244.1.0/24": first, "fd00:244:1::/64": first, "10.244.2.0/24": second, "fd00:244:2::/64": second} {
		net := netip.MustParsePrefix(pods)
		for _, h := range []*Host{l.Node(), first, second} {
			if h == via {
				continue
			}
			if err := h.Route(net, via.first(net.Addr().Is4())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pair := range [][2]*Host{{a, c}, {c, a}, {a, second}, {first, c}, {c, first}, {a, l.Host("web")}, {l.Host("web"), c}} {
		for _, is4 := range []bool{true, false} {
			f := policy.Flow{Src: pair[0].first(is4), Dst: pair[1].first(is4), Protocol: policy.TCP, DstPort: 80}
			if out := l.Probe(context.Background(), f, 0); out.Verdict != Allowed || out.Server != pair[1].Name() {
				t.Errorf("%v -> %v: %v (%s) by %q", f.Src, f.Dst, out.Verdict, out.Detail, out.Server)
			}
		}
	}
	for want, cfg := range map[string]HostConfig{
		"a is no router of this lab": {Name: "x", Addrs: addrs("10.244.1.9"), Node: a},
		"there is no bridge cni0":    {Name: "x", Addrs: addrs("10.244.2.9"), Node: second, Bridge: "cni0"},
	} {
		if _, err := l.AddHost(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if err := l.Remove(a); err != nil {
		t.Error(err)
	}
}
