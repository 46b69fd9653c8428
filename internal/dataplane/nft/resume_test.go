package nft

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
)

// resumeGroup is the group of segments in this package's tests.
const resumeGroup = 7413

// stream is a TCP connection between two hosts of a lab, both ends at hand.
type stream struct{ client, server net.Conn }

// newStream connects from a host to an address.
func newStream(t *testing.T, l *lab.Lab, from, to netip.Addr, port uint16) stream {
	t.Helper()
	listener, err := l.Owner(to).Listen("tcp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client, err := l.Owner(from).DialContext(context.Background(), "tcp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return stream{client, server}
}

// arrives reports whether what one end writes comes to the other within a time.
func arrives(t *testing.T, from, to net.Conn, within time.Duration) bool {
	t.Helper()
	const text = "and on it goes"
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	_, err := io.ReadFull(to, got)
	return err == nil && string(got) == text
}

// resuming has a dataplane take up the connections of segments that its tables tell of, until
// the test's end.
func resuming(t *testing.T, l *lab.Lab, b *Dataplane) {
	t.Helper()
	var segments *nflog.Log
	if err := l.Node().Do(func() (err error) { segments, err = nflog.Open(resumeGroup); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = segments.Receive(ctx, func(p nflog.Packet) {
			if _, err := b.Resume(ctx, []policy.Flow{p.Flow}); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}, func() {})
	}()
	t.Cleanup(func() { cancel(); <-done; _ = segments.Close() })
}

// silentTables are bTables in which b may begin nothing.
func silentTables(boxes ...box) *tabletest.Model {
	m := bTables(boxes...)
	for _, a := range []netip.Addr{podB4, podB6} {
		govern(m, a, policy.Egress, allowing(1, 2), nil)
	}
	return m
}

// TestCutIsNotResumed has a change cut streams, by ports that do not say who began them, while
// segments are taken up: b may begin connections itself, but these are none of them.
func TestCutIsNotResumed(t *testing.T) {
	l := podLab(t)
	b, err := New(Options{NetNS: nodeNS(l), Logger: slog.New(slog.DiscardHandler), Logging: Logging{OutOfState: resumeGroup}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	before := bTables(port(policy.TCP, 80), port(policy.TCP, 50000))
	apply(t, b, tabletest.Empty().Step(before))
	var streams []stream
	for _, e := range [][2]netip.Addr{{podA4, podB4}, {podA6, podB6}} {
		streams = append(streams, newStream(t, l, e[0], e[1], 80), newStream(t, l, e[0], e[1], 50000))
	}
	apply(t, b, before.Step(rename(bTables(port(policy.TCP, 81)))))
	resuming(t, l, b)
	for _, s := range streams {
		for _, ends := range [][2]net.Conn{{s.client, s.server}, {s.server, s.client}} {
			if arrives(t, ends[0], ends[1], 500*time.Millisecond) {
				t.Errorf("%v was cut, and came back", s.client.RemoteAddr())
			}
		}
	}
}

// TestResume has streams live that policy allows, whichever end speaks first, when the kernel
// begins to track connections, and when these are flushed; and no others.
func TestResume(t *testing.T) {
	l := podLab(t)
	ends := [][2]netip.Addr{{podA4, podB4}, {podA6, podB6}}
	var allowed, denied []stream
	open := func() {
		allowed, denied = nil, nil
		for _, e := range ends {
			allowed = append(allowed, newStream(t, l, e[0], e[1], 443), newStream(t, l, e[0], e[1], 443))
			denied = append(denied, newStream(t, l, e[0], e[1], 80), newStream(t, l, e[0], e[1], 80))
		}
	}
	judge := func(t *testing.T) {
		t.Helper()
		for i, s := range allowed {
			first, second := s.client, s.server
			if i%2 == 0 {
				first, second = second, first // as where a download goes on
			}
			if !arrives(t, first, second, 20*time.Second) || !arrives(t, second, first, 20*time.Second) {
				t.Errorf("%v is allowed, and ended", s.client.RemoteAddr())
			}
		}
		for i, s := range denied {
			first, second := s.client, s.server
			if i%2 == 0 {
				first, second = second, first
			}
			if arrives(t, first, second, 700*time.Millisecond) {
				t.Errorf("%v is denied, and came back", s.client.RemoteAddr())
			}
		}
	}
	open()
	b, err := New(Options{NetNS: nodeNS(l), Logger: slog.New(slog.DiscardHandler), Logging: Logging{OutOfState: resumeGroup}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	// Connections of b's own are denied: else what it says from port 80 could be of one.
	open80, closed := silentTables(port(policy.TCP, 443), port(policy.TCP, 80)), silentTables(port(policy.TCP, 443))
	apply(t, b, tabletest.Empty().Step(closed))
	if !b.Fresh() {
		t.Error("there were tables before, which is not so")
	}
	resuming(t, l, b)
	judge(t)

	again, err := New(Options{NetNS: nodeNS(l), Logger: slog.New(slog.DiscardHandler), Logging: Logging{OutOfState: resumeGroup}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	apply(t, again, tabletest.Empty().Step(open80))
	if again.Fresh() {
		t.Error("the tables of the one before were not noticed")
	}
	open()
	apply(t, b, closed.Step(rename(closed))) // finds another's tables, and writes its own
	if err := l.Node().Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatal(err)
	}
	judge(t)
	checkTracked(t, nodeNS(l), b)
}
