package extauthz

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"pgregory.net/rapid"
)

// deadConn is a connection that is only closed.
type deadConn struct {
	net.Conn
	closed bool
}

func (c *deadConn) Close() error { c.closed = true; return nil }

// newConn is a connection of somebody's, as if it had come.
func newConn(p *peers, peer string) *peerConn {
	c := &peerConn{Conn: &deadConn{}, peers: p, peer: peer}
	c.heard.Store(int64(len(peer))) // one of its peer's like any other
	p.displace(p.proving.enter(c))
	return c
}

func isOpen(c *peerConn) bool { return !c.Conn.(*deadConn).closed }

// TestPeersAreFair: whoever comes in which order, there are never too many connections,
// and a peer loses one only while nobody has more.
func TestPeersAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPeers(slog.New(slog.DiscardHandler))
		p.proving.capacity, p.open.capacity = 3, 8
		var all []*peerConn
		have := func() map[string]int {
			out := map[string]int{}
			for peer, conns := range p.open.by {
				out[peer] = len(conns)
			}
			return out
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				if len(all) > 0 {
					_ = all[rapid.IntRange(0, len(all)-1).Draw(t, "closed")].Close()
				}
			default:
				c := newConn(p, fmt.Sprint("address ", rapid.IntRange(0, 4).Draw(t, "address")))
				all = append(all, c)
				before := have()
				if rapid.Bool().Draw(t, "proves") && isOpen(c) {
					who := fmt.Sprint("peer ", rapid.IntRange(0, 10).Draw(t, "peer"))
					p.establish(c, who)
					for peer, n := range have() {
						for other, m := range before {
							if n < before[peer] && m > before[peer] {
								t.Errorf("%s lost one of %d while %s had %d", peer, before[peer], other, m)
							}
						}
					}
				}
			}
			open, _ := p.count()
			still := 0
			for _, c := range all {
				if isOpen(c) {
					still++
				}
			}
			if p.proving.n > 3 || p.open.n > 8 || still != open {
				t.Fatalf("%d and %d connections, %d are open", p.proving.n, p.open.n, still)
			}
		}
		for _, c := range all {
			_ = c.Close()
		}
		if open, _ := p.count(); open+len(p.proving.by)+len(p.open.by) != 0 {
			t.Errorf("%d are left", open)
		}
	})
}

// TestOnePeerFills: a peer with as many connections as it can open leaves others theirs.
func TestOnePeerFills(t *testing.T) {
	p := newPeers(slog.New(slog.DiscardHandler))
	flood := func() *peerConn {
		c := newConn(p, "10.0.0.9")
		p.establish(c, "spiffe://cluster/ns/flood/sa/x")
		return c
	}
	for range 1000 {
		flood()
	}
	var shop []*peerConn
	for range 20 {
		c := newConn(p, "10.0.0.1")
		p.establish(c, "spiffe://cluster/ns/shop/sa/gateway")
		shop = append(shop, c)
	}
	for range 1000 {
		flood()
		newConn(p, "10.0.0.9") // that proves nothing
	}
	for _, c := range shop {
		if !isOpen(c) {
			t.Fatal("a connection of a peer that has less was closed")
		}
	}
	if open, _ := p.count(); open != maxConnections+maxProving {
		t.Errorf("%d connections are open", open)
	}
}

// TestStrangersDisplaceNobody: who proves nothing, from however many addresses, displaces
// nobody who has.
func TestStrangersDisplaceNobody(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	cfg := Config{Address: "127.0.0.1:0", Group: -1, CertFile: file("cert"), KeyFile: file("key"), ClientCA: file("ca")}
	ca.issue(t, cfg.CertFile, cfg.KeyFile)
	write(t, cfg.ClientCA, ca.pem)
	s, err := Listen(cfg, testState(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	known, err := tls.Dial("tcp", s.addr().String(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = known.Close() }()
	c := (&rawConn{t: t, conn: known, Framer: http2.NewFramer(known, known)}).hello()
	c.settles()
	for i := range 4 * maxProving {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(i%250+1))}}
		conn, err := d.Dial("tcp", s.addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	c.must(c.WritePing(false, [8]byte{1}))
	c.until(func(f http2.Frame) bool { _, is := f.(*http2.PingFrame); return is })
	if n := s.Counts().Connections; n > 1+maxProving {
		t.Errorf("%d connections are open", n)
	}
}

// TestPeerNames: who a connection is of.
func TestPeerNames(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if got := peerOf(a); got != "pipe" {
		t.Errorf("a pipe is of %q", got)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got, want := peerOf(conn), fmt.Sprintf("user %d ", os.Getuid()); !strings.HasPrefix(got+" ", want) {
		t.Errorf("this process is %q, want one that begins with %q", got, want)
	}
	if got := provedName(credentials.TLSInfo{}); got != "" {
		t.Errorf("without a certificate: %q", got)
	}
}
