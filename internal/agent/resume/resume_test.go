package resume

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the test skips
	}
	os.Exit(m.Run())
}

const testGroup = 7414

// loop calls at once, one after the other.
type loop struct {
	component.Loop
	mu sync.Mutex
}

func (l *loop) Call(ctx context.Context, f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	return ctx.Err()
}

// TestStreamsGoOn has streams live when policy comes into force where none was, and when the
// kernel's connections are flushed, and one that policy denies end.
func TestStreamsGoOn(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	web, client := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")
	for name, a := range map[string]netip.Addr{"web": web, "client": client} {
		if _, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{a}}); err != nil {
			t.Fatal(err)
		}
	}
	server, far := connect(t, l, netip.AddrPortFrom(web, 80))
	deniedServer, deniedFar := connect(t, l, netip.AddrPortFrom(web, 81))

	netns := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.Node().FD())
	k := kernel.New(func() (dataplane.Dataplane, error) {
		return nft.New(nft.Options{NetNS: netns, Logging: nft.Logging{OutOfState: testGroup}})
	}, []kernel.Requirement{{Feature: dataplane.FeatureResuming, Setting: "--resume-group"}}, slog.New(slog.DiscardHandler))
	if err := k.Open(); err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	env := component.Env{Loop: &loop{}, Kernel: k, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}
	ctx, end := context.WithCancel(t.Context())
	c := New(env, Config{
		Listen: func() (s Segments, err error) {
			err = l.Node().Do(func() (err error) { s, err = nflog.Open(testGroup); return err })
			return s, err
		},
		Open: func() (Connections, error) { return conntrack.Open(netns) },
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		end()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if n := tracked(t, l, "240.0.0.1"); n != 0 {
			t.Errorf("%d entries are left of what notices a flush", n)
		}
	}()
	if err := k.Apply(ctx, tables(web)); err != nil {
		t.Fatal(err)
	}
	c.AfterStep(ctx, component.Result{First: true})
	if !says(t, server, far, 20*time.Second) || !says(t, far, server, 20*time.Second) {
		t.Error("the first policy ended a stream that it allows")
	}
	if says(t, deniedServer, deniedFar, time.Second) {
		t.Error("a stream went on that the first policy denies")
	}
	for tracked(t, l, "240.0.0.1") == 0 {
		time.Sleep(time.Millisecond) // until a flush would be noticed
	}
	if err := l.Node().Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatal(err)
	}
	if !says(t, server, far, 20*time.Second) || !says(t, far, server, 20*time.Second) {
		t.Error("a flush ended a stream that policy allows")
	}
	if says(t, deniedFar, deniedServer, time.Second) {
		t.Error("a flush revived a stream that policy denies")
	}
}

// connect makes a TCP connection of host client to an address, and returns both ends.
func connect(t *testing.T, l *lab.Lab, to netip.AddrPort) (server, client net.Conn) {
	t.Helper()
	listener, err := l.Owner(to.Addr()).Listen("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if client, err = l.Host("client").DialContext(t.Context(), "tcp", to.String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return server, client
}

// says reports whether what one end writes comes to the other within a time.
func says(t *testing.T, from, to net.Conn, within time.Duration) bool {
	t.Helper()
	const text = "and on it goes"
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := io.ReadFull(to, make([]byte, len(text)))
	return err == nil
}

// tracked counts the connections of a source.
func tracked(t *testing.T, l *lab.Lab, source string) (n int) {
	t.Helper()
	if err := l.Node().Do(func() error {
		list, err := netlink.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4)
		for _, f := range list {
			if f.Forward.SrcIP.String() == source {
				n++
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// tables are those of a pod that may be reached at port 80, and may begin nothing.
func tables(pod netip.Addr) *dataplane.Delta {
	e := engine.New(nil)
	all, _ := selector.Parse("all()")
	ports := policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 80, Last: 80}}}}
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "web"}, Tier: "default", Selector: all, Types: [2]bool{true, true},
		Rules: [2][]policy.Rule{policy.Ingress: {{Action: policy.Allow, Protocol: new(policy.TCP), Destination: ports}}},
	}
	ep := &policy.Endpoint{Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: "web"}, Addrs: []netip.Addr{pod}, Profiles: []string{"kns.ns"}}
	for _, tier := range policy.FixedTiers() {
		e.Apply(policy.Change{Key: tier.ObjectKey(), Object: tier})
	}
	e.Apply(policy.Change{Key: p.Key, Object: p}, policy.Change{Key: ep.Key, Object: ep})
	return e.Flush()
}
