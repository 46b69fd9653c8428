package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Session is a TCP connection that a test uses when it wants to.
type Session struct {
	what string
	conn net.Conn
	n    uint64
}

// Connect opens a connection. It ends with the test.
func Connect(t testing.TB, from Place, to netip.AddrPort) *Session {
	t.Helper()
	conn, err := dial(from, "tcp", to)
	if err != nil {
		t.Fatalf("connect to %s: %v", to, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &Session{what: fmt.Sprintf("the connection from %s to %s", conn.LocalAddr(), to), conn: conn}
	s.MustLive(t)
	return s
}

// Open reports whether a connection comes about and is answered on, without a test that fails.
func Open(from Place, to netip.AddrPort) (netip.AddrPort, error) {
	conn, err := dial(from, "tcp", to)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer func() { _ = conn.Close() }()
	mine, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return mine, exchange(conn, 1)
}

// MustLive holds that the server answers on the connection.
func (s *Session) MustLive(t testing.TB) {
	t.Helper()
	s.n++
	if err := exchange(s.conn, s.n); err != nil {
		t.Fatalf("%s: %v", s.what, err)
	}
}

// AwaitEnd waits until the server answers no more. A connection that has been cut says nothing to either side, so
// that silence is all there is to see.
func (s *Session) AwaitEnd(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	answer := make([]byte, 256)
	err := Eventually(ctx, func(context.Context) error {
		if err := s.conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := s.conn.Write([]byte("still there?")); err != nil {
			return nil
		}
		if _, err := s.conn.Read(answer); err != nil {
			return nil
		}
		return errors.New("it still gets answers")
	})
	if err != nil {
		t.Fatalf("%s: %v", s.what, err)
	}
}
