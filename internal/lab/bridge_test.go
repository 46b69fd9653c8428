package lab

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestBridge has two hosts on a bridge reach each other and a host behind the node.
func TestBridge(t *testing.T) {
	l := world(t)
	err := l.AddBridge(BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{
		netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244::1/64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]netip.Addr{"a": addrs("10.244.1.2", "fd00:244::2"), "b": addrs("10.244.1.3", "fd00:244::3")} {
		if _, err := l.AddHost(HostConfig{Name: name, Addrs: list, Bridge: "cni0"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "web"}, {"web", "b"}, {"a", "node"}} {
		for _, is4 := range []bool{true, false} {
			f := policy.Flow{Src: l.Host(pair[0]).first(is4), Dst: l.Host(pair[1]).first(is4), Protocol: policy.TCP, DstPort: 80}
			if out := l.Probe(context.Background(), f, 0); out.Verdict != Allowed {
				t.Errorf("%v -> %v: %v (%s)", f.Src, f.Dst, out.Verdict, out.Detail)
			}
		}
	}
	if err := l.AddBridge(BridgeConfig{Name: "cni0"}); err == nil || !strings.Contains(err.Error(), "there is one of that name") {
		t.Errorf("a second one: %v", err)
	}
	for want, cfg := range map[string]HostConfig{
		"there is no bridge": {Name: "x", Addrs: addrs("10.244.1.9"), Bridge: "none"},
		"has no net for":     {Name: "x", Addrs: addrs("10.9.1.9"), Bridge: "cni0"},
		"has no nets":        {Name: "x", Addrs: addrs("10.244.1.9"), Nets: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")}, Bridge: "cni0"},
	} {
		if _, err := l.AddHost(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
