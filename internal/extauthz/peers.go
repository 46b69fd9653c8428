package extauthz

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// peers are the connections that are open, and whose they are. There are at most so many;
// when another comes, one of who has most goes, the one that was silent for longest. So
// nobody can keep others from being answered, and nobody has a limit while there is room.
//
// Who has not proved yet who it is has a room of its own: it cannot displace anybody who has.
type peers struct {
	log   *slog.Logger
	began time.Time

	mu        sync.Mutex
	proving   room
	open      room
	displaced uint64
	told      time.Time // when the log was last told of it
}

// room is some connections, by peer.
type room struct {
	capacity int
	by       map[string]map[*peerConn]struct{}
	n        int
}

// tellInterval is between two lines of the log about displaced connections.
const tellInterval = time.Minute

func newPeers(log *slog.Logger) *peers {
	return &peers{log: log, began: time.Now(), proving: newRoom(maxProving), open: newRoom(maxConnections)}
}

func newRoom(capacity int) room {
	return room{capacity: capacity, by: map[string]map[*peerConn]struct{}{}}
}

// enter lets a connection in, and returns the one that has to go for it, if any.
func (r *room) enter(c *peerConn) (displaced *peerConn) {
	if r.n >= r.capacity {
		most, n := c.peer, len(r.by[c.peer])+1
		for peer, conns := range r.by {
			if len(conns) > n {
				most, n = peer, len(conns)
			}
		}
		for x := range r.by[most] {
			if displaced == nil || x.heard.Load() < displaced.heard.Load() {
				displaced = x
			}
		}
		if displaced == nil { // every one of the others' is their only one
			return c
		}
		r.leave(displaced)
	}
	if r.by[c.peer] == nil {
		r.by[c.peer] = map[*peerConn]struct{}{}
	}
	r.by[c.peer][c] = struct{}{}
	r.n++
	return displaced
}

func (r *room) leave(c *peerConn) {
	conns := r.by[c.peer]
	if _, in := conns[c]; !in {
		return
	}
	delete(conns, c)
	if r.n--; len(conns) == 0 {
		delete(r.by, c.peer)
	}
}

// accept takes in a new connection.
func (p *peers) accept(conn net.Conn) net.Conn {
	c := &peerConn{Conn: conn, peers: p, peer: peerOf(conn)}
	c.hear()
	p.mu.Lock()
	displaced := p.proving.enter(c)
	p.mu.Unlock()
	p.displace(displaced)
	return c
}

// establish says that a connection's peer has proved who it is; an empty identity is who
// the address says.
func (p *peers) establish(c *peerConn, identity string) {
	p.mu.Lock()
	p.proving.leave(c)
	if identity != "" {
		c.peer = identity
	}
	var displaced *peerConn
	if !c.closed {
		displaced = p.open.enter(c)
	}
	p.mu.Unlock()
	p.displace(displaced)
}

// displace closes a connection for another to have room.
func (p *peers) displace(c *peerConn) {
	if c == nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	p.displaced++
	peer := c.peer
	tell := now.Sub(p.told) >= tellInterval
	if tell {
		p.told = now
	}
	p.mu.Unlock()
	if tell {
		p.log.Warn("too many connections of proxies (ext_authz): those of who has most are closed", "peer", peer, "most", maxConnections)
	}
	_ = c.Close() // who reads it hears of it
}

// count returns how many connections are open, and how many were closed for others to have room.
func (p *peers) count() (open int, displaced uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proving.n + p.open.n, p.displaced
}

// peerListener has its connections taken in.
type peerListener struct {
	net.Listener
	peers *peers
}

// Accept implements net.Listener.
func (l peerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.peers.accept(c), nil
}

// peerConn is a connection of somebody's.
type peerConn struct {
	net.Conn
	peers  *peers
	peer   string       // who it is; under the lock of peers
	closed bool         // likewise
	heard  atomic.Int64 // when something was last read, since peers began
}

func (c *peerConn) hear() { c.heard.Store(int64(time.Since(c.peers.began))) }

// Read implements net.Conn.
func (c *peerConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.hear()
	}
	return n, err
}

// Close implements net.Conn.
func (c *peerConn) Close() error {
	c.peers.mu.Lock()
	c.closed = true
	c.peers.proving.leave(c)
	c.peers.open.leave(c)
	c.peers.mu.Unlock()
	return c.Conn.Close()
}

// peerOf says whose a new connection is: by its address, or, at a unix socket, by the
// process that has opened it.
func peerOf(conn net.Conn) string {
	if u, ok := conn.(*net.UnixConn); ok {
		return unixPeer(u)
	}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		return a.Addr().Unmap().String()
	}
	return conn.RemoteAddr().String()
}

// unixPeer names the container of a process, which is its control group, or else its
// user: a process has children at will, but cannot leave its control group.
func unixPeer(conn *net.UnixConn) string {
	raw, err := conn.SyscallConn()
	if err != nil {
		return ""
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}) != nil || err != nil {
		return ""
	}
	user := fmt.Sprintf("user %d", cred.Uid)
	if cred.Pid == 0 { // of a process that is not seen from here
		return user
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cred.Pid))
	if err != nil {
		return user
	}
	return user + " " + strings.TrimSpace(string(text))
}

// proving are credentials that say who has proved to be whom.
type proving struct {
	credentials.TransportCredentials
	peers *peers
}

// ServerHandshake implements credentials.TransportCredentials.
func (p proving) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := p.TransportCredentials.ServerHandshake(raw)
	if c, ok := raw.(*peerConn); ok && err == nil {
		p.peers.establish(c, provedName(info))
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (p proving) Clone() credentials.TransportCredentials {
	return proving{p.TransportCredentials.Clone(), p.peers}
}

// provedName returns whom a certificate names; empty without one.
func provedName(info credentials.AuthInfo) string {
	t, ok := info.(credentials.TLSInfo)
	if !ok || len(t.State.PeerCertificates) == 0 {
		return ""
	}
	return nameIn(t.State.PeerCertificates[0])
}

func nameIn(c *x509.Certificate) string {
	if len(c.URIs) > 0 {
		return c.URIs[0].String()
	}
	return c.Subject.CommonName
}
