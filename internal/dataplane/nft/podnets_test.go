package nft

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestOverlappingPodNets has a node whose networks overlap, as those of a badly made cluster do: each counts once.
func TestOverlappingPodNets(t *testing.T) {
	var nets []netip.Prefix
	for _, text := range []string{"10.2.0.0/16", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/24", "192.0.2.0/24", "192.0.2.128/25", "fd00::/64", "fd00::1/64"} {
		nets = append(nets, netip.MustParsePrefix(text))
	}
	got := fmt.Sprint(normalNets(nets))
	if want := "[10.0.0.0/8 192.0.2.0/24 fd00::/64]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	g := newSpoofLab(t, false)
	g.known.PodNets = []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("10.244.0.0/16")}
	g.set(g.known)
}
