package enforceable

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// TestMacvlan has a pod behind a macvlan of the uplink, shows with a connection that no hook of the host sees its packets, and
// that it is not taken for one that policy is in force for.
func TestMacvlan(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	host := func(name, link, addr string) *lab.Host {
		h, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Interface: link})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	lan, inside := host("lan", "up0", "10.1.0.1"), host("pod", "", "10.1.0.2")
	do := func(h *lab.Host, f func(nl *netlink.Handle) error) {
		t.Helper()
		err := h.Do(func() error {
			nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer nl.Close()
			return f(nl)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	address := func(nl *netlink.Handle, link, text string) error {
		on, err := nl.LinkByName(link)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(text)
		if err == nil {
			err = nl.AddrAdd(on, a)
		}
		if err != nil {
			return fmt.Errorf("%s at %s: %w", text, link, err)
		}
		return nl.LinkSetUp(on)
	}
	missing := ""
	do(l.Node(), func(nl *netlink.Handle) error {
		up, err := nl.LinkByName("up0")
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = "mv0", up.Attrs().Index
		mv := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
		if err := nl.LinkAdd(mv); err != nil {
			missing = err.Error()
			return nil
		}
		if err := nl.LinkSetNsFd(mv, inside.FD()); err != nil {
			return err
		}
		if err := address(nl, "up0", "192.0.2.254/24"); err != nil {
			return err
		}
		for _, c := range [][]string{{"add", "table", "inet", "t"}, {"add", "chain", "inet", "t", "f", "{ type filter hook forward priority 0; policy drop; }"}} {
			if out, err := exec.Command("nft", c...).CombinedOutput(); err != nil {
				missing = string(out)
			}
		}
		return nil
	})
	if missing != "" {
		t.Skip("SKIPPED: this machine cannot: ", missing)
	}
	do(lan, func(nl *netlink.Handle) error { return address(nl, "eth0", "192.0.2.1/24") })
	do(inside, func(nl *netlink.Handle) error { return address(nl, "mv0", "192.0.2.7/24") })
	server, err := inside.Listen("tcp", "192.0.2.7:80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := lan.DialContext(ctx, "tcp", "192.0.2.7:80")
	if err != nil {
		t.Fatal("the host's rules see packets of a macvlan: ", err)
	}
	_ = conn.Close()

	key := pod("a")
	var findings []Finding
	if err := l.Node().Do(func() error {
		f, err := hostlink.Open()
		if err != nil {
			return err
		}
		defer f.Close()
		links, err := f.Find([]hostlink.Endpoint{{Key: key, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}})
		findings = Judge(Host{Links: links}, []policy.Key{key})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Finding{{Reason{Cause: NoHostInterface}, []policy.Key{key}}}, findings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
