package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// Denied starts to send datagrams and to try connections, each from a new port. It ends with the test at
// the latest.
func Denied(t testing.TB, from Place, to netip.AddrPort) []*Flow {
	t.Helper()
	return []*Flow{
		start(t, fmt.Sprintf("datagrams that must not reach %s", to), func(_ context.Context, n uint64) error {
			conn, err := dial(from, "udp", to)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "%08d", n)
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ECONNREFUSED) {
				err = nil // that is how it can be refused, too
			}
			return err
		}),
		start(t, fmt.Sprintf("connections that must not reach %s", to), func(_ context.Context, _ uint64) error {
			return knock(from, to)
		}),
	}
}

// knock sends the first packet of a TCP connection, and not more.
func knock(from Place, to netip.AddrPort) error {
	return from.Do(func() error {
		d := net.Dialer{Timeout: 20 * time.Millisecond}
		d.SetMultipathTCP(false)
		conn, err := d.Dial("tcp", to.String())
		if err == nil {
			_ = conn.Close()
			return errors.New("it got through")
		}
		return nil
	})
}

// Knock tries one connection, and has an error if it comes about.
func Knock(from Place, to netip.AddrPort) error { return knock(from, to) }

// Reaches reports whether a datagram to the server is answered now, and what went wrong if not. A
// datagram that is lost without a word takes a moment.
func Reaches(from Place, to netip.AddrPort) error {
	conn, err := dial(from, "udp", to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 16))
	return err
}

// AwaitAllowed waits until datagrams get through.
func AwaitAllowed(t testing.TB, from Place, to netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := Eventually(ctx, func(context.Context) error { return Reaches(from, to) }); err != nil {
		t.Fatalf("%s is not reached: %v", to, err)
	}
}

// AwaitDenied waits until datagrams do not get through, three times in a row: one may be late.
func AwaitDenied(t testing.TB, from Place, to netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	err := Eventually(ctx, func(context.Context) error {
		for range 3 {
			if Reaches(from, to) == nil {
				return errors.New("an answer came")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s is still reached: %v", to, err)
	}
}
