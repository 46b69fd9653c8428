package antispoof

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the tests skip
	}
	os.Exit(m.Run())
}

// TestUplinkStays has a node whose uplink is a veth, as within a container, and a pod that has an address of the
// uplink's own subnet. Whatever the CNI plugin says of it, what the world sends to the other pods still arrives, and the
// other pods are still held to their own addresses.
func TestUplinkStays(t *testing.T) {
	lab.Require(t)
	for _, plugin := range []string{"", "up0"} {
		t.Run("the plugin names "+plugin, func(t *testing.T) {
			n := newUplinkNode(t)
			ours := []hostlink.Endpoint{
				{Key: podKey("web"), Addrs: addrs("10.0.0.2")},
				{Key: podKey("stray"), Addrs: addrs("192.0.2.7"), Interface: plugin},
			}
			var r hostlink.Result
			n.do(func() (err error) { r, err = n.finder.Find(ours); return err })
			if len(r.Links) != 1 || r.Links[0].Key != podKey("web") {
				t.Fatalf("found %+v; unknown %+v", r.Links, r.Unknown)
			}
			var known dataplane.AntiSpoofing
			for _, l := range r.Links {
				known.Links = append(known.Links, dataplane.Link{Index: l.Index, Addrs: l.Addrs})
			}
			if err := n.tables.SetAntiSpoofing(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			for _, from := range []string{"192.0.2.1", "198.51.100.7", "203.0.113.9"} {
				if err := n.connect(netip.MustParseAddr(from)); err != nil {
					t.Errorf("from %s: %v", from, err)
				}
			}
			// Had the uplink been taken for the pod's, nothing would arrive: the test can tell.
			n.do(func() error {
				up, err := netlink.LinkByName("up0")
				if err == nil {
					known.Links = append(known.Links, dataplane.Link{Index: up.Attrs().Index, Addrs: addrs("192.0.2.7")})
				}
				return err
			})
			if err := n.tables.SetAntiSpoofing(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			if err := n.connect(netip.MustParseAddr("198.51.100.7")); err == nil {
				t.Error("the source is not checked at all")
			}
			// And it would be said.
			up := hostlink.Link{Key: podKey("stray"), Name: "up0", Index: known.Links[len(known.Links)-1].Index}
			n.named(append(r.Links, up))
		})
	}
}

func podKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindPod, Namespace: "web", Name: name}
}

type uplinkNode struct {
	t          *testing.T
	lab        *lab.Lab
	world, web *lab.Host
	finder     *hostlink.Finder
	tables     *nft.Dataplane
}

func newUplinkNode(t *testing.T) *uplinkNode {
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := &uplinkNode{t: t, lab: l}
	host := func(cfg lab.HostConfig) *lab.Host {
		h, err := l.AddHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	n.world = host(lab.HostConfig{
		Name: "world", Addrs: addrs("192.0.2.1"), Interface: "up0",
		Nets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")},
	})
	n.web = host(lab.HostConfig{Name: "web", Addrs: addrs("10.0.0.2")})
	if err := n.web.Serve(policy.TCP, 80); err != nil {
		t.Fatal(err)
	}
	n.do(func() (err error) {
		up, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr("192.0.2.254/24")
		if err == nil {
			err = netlink.AddrAdd(up, a)
		}
		if err == nil {
			err = netlink.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Gw: []byte{192, 0, 2, 1}, Flags: unix.RTNH_F_ONLINK})
		}
		if err != nil {
			return err
		}
		n.finder, err = hostlink.Open()
		return err
	})
	t.Cleanup(n.finder.Close)
	n.tables, err = nft.New(nft.Options{NetNS: fmt.Sprintf("/proc/self/fd/%d", l.Node().FD())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.tables.Close() })
	if err := n.tables.Apply(t.Context(), tabletest.Empty().Step(tabletest.First())); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *uplinkNode) do(f func() error) {
	n.t.Helper()
	if err := n.lab.Node().Do(f); err != nil {
		n.t.Fatal(err)
	}
}

// named has many of the world send, and waits until the interface is said to lead to more than the pod.
func (n *uplinkNode) named(links []hostlink.Link) {
	n.t.Helper()
	for i := range byte(2 * manySources) {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, i + 1}), 0)
		conn, err := n.world.DialFrom(n.t.Context(), "udp", from, netip.MustParseAddrPort("10.0.0.2:9"))
		if err == nil {
			_, err = conn.Write([]byte("x"))
			_ = conn.Close()
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
	var got []Spoofing
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		list, err := n.tables.SpoofedSources(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		if got = spoofings(list, links); len(got) == 1 && got[0].IsMany() && got[0].Interface == "up0" && got[0].Endpoint == "web/stray" {
			return
		}
	}
	n.t.Errorf("it is not said that up0 leads to more: %v", got)
}

// connect connects from an address of the world to the pod.
func (n *uplinkNode) connect(from netip.Addr) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Second)
	defer cancel()
	conn, err := n.world.DialFrom(ctx, "tcp", netip.AddrPortFrom(from, 0), netip.MustParseAddrPort("10.0.0.2:80"))
	if err == nil {
		err = conn.Close()
	}
	return err
}
