package antispoof

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

func drops(link, sources int, packets uint64) (list []dataplane.SpoofedSource) {
	for i := range sources {
		list = append(list, dataplane.SpoofedSource{Link: link, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Packets: packets + uint64(i)})
	}
	return list
}

func TestSpoofings(t *testing.T) {
	links := []hostlink.Link{
		{Key: policy.Key{Kind: "Pod", Namespace: "web", Name: "a"}, Name: "veth1", Index: 1},
		{Key: policy.Key{Kind: "Pod", Namespace: "web", Name: "b"}, Name: "veth2", Index: 2},
		{Key: policy.Key{Kind: "Pod", Namespace: "web", Name: "c"}, Name: "veth3", Index: 3},
	}
	all := append(drops(1, 2, 5), drops(3, 9, 1)...)
	all = append(all, drops(7, 3, 1)...) // an interface that has gone
	got := spoofings(all, links)
	want := []Spoofing{
		{Interface: "veth3", Endpoint: "web/c", Packets: 45, Sources: 9, Examples: addrs("192.0.2.8", "192.0.2.7", "192.0.2.6", "192.0.2.5", "192.0.2.4")},
		{Interface: "veth1", Endpoint: "web/a", Packets: 11, Sources: 2, Examples: addrs("192.0.2.1", "192.0.2.0")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for i, text := range []string{
		"45 packets of 9 sources (192.0.2.8, 192.0.2.7, 192.0.2.6, 192.0.2.5, 192.0.2.4, ...) that came in by interface veth3 were dropped: it is taken for that of web/c alone;",
		"11 packets that came in by interface veth1 of web/a were dropped: their source (192.0.2.1, 192.0.2.0) is not its address",
	} {
		if !strings.HasPrefix(got[i].String(), text) {
			t.Errorf("got %s", got[i])
		}
	}
	for n, many := range map[int]bool{1: false, manySources - 1: false, manySources: true, 1000: true} {
		if (Spoofing{Sources: n}).IsMany() != many {
			t.Error(fmt.Sprint(n, " sources"))
		}
	}
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}
