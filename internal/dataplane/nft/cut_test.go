package nft

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// bTables governs b's ingress: what pods may do there.
func bTables(boxes ...box) *tabletest.Model {
	m := emptyTables()
	for _, a := range []netip.Addr{podB4, podB6} {
		govern(m, a, policy.Ingress, allowing(3, 4), map[dataplane.ClassID]dataplane.Row{
			map[bool]dataplane.ClassID{true: pods4, false: pods6}[a.Is4()]: allowing(3, 4, boxes...),
		})
	}
	return m
}

// rename returns all rows new numbers, as rows are never changed.
func rename(m *tabletest.Model) *tabletest.Model {
	const shift = 1000
	n := m.Clone()
	clear(n.Rows)
	for id, row := range m.Rows {
		n.Rows[id+shift] = row
	}
	for id, p := range n.Programs {
		p.Base += shift
		for class := range p.Cells {
			p.Cells[class] += shift
		}
		n.Programs[id] = p
	}
	return n
}

func TestLiveConnections(t *testing.T) {
	l := podLab(t)
	b := newDataplane(t, nodeNS(l))
	before := bTables(port(policy.TCP, 80), port(policy.TCP, 443), port(policy.UDP, 53), port(policy.UDP, 54))
	apply(t, b, tabletest.Empty().Step(before))
	open := func(src, dst netip.Addr, p policy.Protocol, n uint16) *lab.Conn {
		c, err := l.Open(context.Background(), policy.Flow{Src: src, Dst: dst, Protocol: p, DstPort: n}, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var denied, allowed []*lab.Conn
	for _, ends := range [][2]netip.Addr{{podA4, podB4}, {podA6, podB6}} {
		denied = append(denied, open(ends[0], ends[1], policy.TCP, 80), open(ends[0], ends[1], policy.UDP, 53))
		allowed = append(allowed, open(ends[0], ends[1], policy.TCP, 443), open(ends[0], ends[1], policy.UDP, 54))
	}
	nobody := []*lab.Conn{open(world4IP, podA4, policy.TCP, 80), open(podA6, world6IP, policy.TCP, 80)}
	// The node's own connections are not forwarded, and no policy cuts them.
	node := open(l.Node().Addr4(), podB4, policy.TCP, 80)
	after := rename(bTables(port(policy.TCP, 443), port(policy.UDP, 54)))
	apply(t, b, before.Step(after))
	for _, c := range append(append(allowed, nobody...), node) {
		if err := c.Exchange(0); err != nil {
			t.Errorf("%v is still allowed: %v", c, err)
		}
	}
	for _, c := range denied {
		if err := c.Exchange(300 * time.Millisecond); !lab.IsSilence(err) {
			t.Errorf("%v is denied now, but: %v", c, err)
		}
	}
	checkTracked(t, nodeNS(l), b)
}

// checkTracked checks that no connection is tracked that the tables deny.
func checkTracked(t *testing.T, ns string, b *Dataplane) {
	t.Helper()
	table, err := conntrack.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	cut, err := table.Cut(context.Background(), b)
	if err != nil || len(cut) > 0 {
		t.Errorf("connections that live on: %v, %v", cut, err)
	}
}

// TestCutStaysCut has the server speak on a connection that was cut. To
// connection tracking its segments look like a new connection in the other
// direction, which policy allows; they must not bring the old one back.
func TestCutStaysCut(t *testing.T) {
	l := podLab(t)
	b := newDataplane(t, nodeNS(l))
	before := bTables(port(policy.TCP, 80))
	apply(t, b, tabletest.Empty().Step(before))
	listener, err := l.Host("b").Listen("tcp", netip.AddrPortFrom(podB4, 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := listener.Accept(); err == nil {
			accepted <- c
		}
	}()
	client, err := l.Host("a").DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server := <-accepted
	defer func() { _ = server.Close() }()
	speak := func(from, to net.Conn, wait time.Duration) error {
		if _, err := from.Write([]byte("x")); err != nil {
			return err
		}
		if err := to.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		_, err := io.ReadFull(to, make([]byte, 1))
		return err
	}
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		if err := speak(ends[0], ends[1], 5*time.Second); err != nil {
			t.Fatalf("allowed: %v", err)
		}
	}
	apply(t, b, before.Step(rename(bTables())))
	for range 3 {
		for _, ends := range [][2]net.Conn{{server, client}, {client, server}} {
			if err := speak(ends[0], ends[1], 150*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection was cut, but: %v", err)
			}
		}
	}
}

// TestTranslated goes through an address that the node translates: to another
// pod, where policy sees the pod and its port, and to itself, which is always allowed.
func TestTranslated(t *testing.T) {
	l := podLab(t)
	stockNFT(t, l, `table ip nat {
	chain prerouting { type nat hook prerouting priority -100;
		ip daddr 10.96.0.1 tcp dport 8000 dnat to 10.1.0.2:80
		ip daddr 10.96.0.1 tcp dport 8001 dnat to 10.1.0.2:81
		ip daddr 10.96.0.2 dnat to 10.1.0.1
	}
	chain postrouting { type nat hook postrouting priority 100;
		ct status dnat masquerade
	}
}`)
	for host, ports := range map[string][]uint16{"a": {80}, "b": {80, 81}} {
		for _, p := range ports {
			if err := l.Host(host).Serve(policy.TCP, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := newDataplane(t, nodeNS(l))
	before := bTables(port(policy.TCP, 80))
	govern(before, podA4, policy.Ingress, allowing(3, 4), nil) // nobody reaches a
	apply(t, b, tabletest.Empty().Step(before))
	dial := func(address string, wait time.Duration) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return l.Host("a").DialContext(ctx, "tcp", address)
	}
	live, err := dial("10.96.0.1:8000", 5*time.Second)
	if err != nil {
		t.Fatalf("b's port 80: %v", err)
	}
	defer func() { _ = live.Close() }()
	if c, err := dial("10.96.0.1:8001", 300*time.Millisecond); err == nil {
		_ = c.Close()
		t.Error("b's port 81 is denied, but there was a connection")
	}
	self, err := dial("10.96.0.2:80", 5*time.Second)
	if err != nil {
		t.Fatalf("a itself: %v", err)
	}
	defer func() { _ = self.Close() }()
	after := bTables()
	govern(after, podA4, policy.Ingress, allowing(3, 4), nil)
	apply(t, b, before.Step(rename(after)))
	if err := echo(live, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection to b is denied now, but: %v", err)
	}
	if err := echo(self, 5*time.Second); err != nil {
		t.Errorf("the connection to itself: %v", err)
	}
}

// echo sends a line and waits for it to come back.
func echo(c net.Conn, wait time.Duration) error {
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 100))
	return err
}
