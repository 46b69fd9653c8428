package sctp

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen makes a server on loopback that answers each message by the same in
// upper case, until the client ends.
func listen(t *testing.T, address string) *SCTPListener {
	t.Helper()
	a, err := ResolveSCTPAddr("sctp", address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListenSCTP("sctp", a)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED, NOTHING TESTED: raw sockets need root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptSCTP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 2000)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write([]byte(strings.ToUpper(string(b[:n])))); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l
}

func TestConversation(t *testing.T) {
	for _, address := range []string{"127.0.0.1:7001", "[::1]:7002"} {
		l := listen(t, address)
		c, err := DialSCTP("sctp", nil, l.address)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		for _, message := range []string{"hello", "again", strings.Repeat("x", maxMessage)} {
			if _, err := c.Write([]byte(message)); err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			b := make([]byte, 2000)
			n, err := c.Read(b)
			if err != nil || string(b[:n]) != strings.ToUpper(message) {
				t.Fatalf("%s: read %q, %v", address, b[:n], err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("Write after Close has no error")
		}
	}
}

func TestServerEnds(t *testing.T) {
	a, err := ResolveSCTPAddr("sctp", "127.0.0.1:7003")
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListenSCTP("sctp", a)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED, NOTHING TESTED: raw sockets need root")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.AcceptSCTP()
		if err == nil {
			_, _ = c.Write([]byte("bye"))
			_ = c.Close()
		}
	}()
	c, err := DialSCTP("sctp", nil, a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// As agnhost's client, and a slow one: it writes when the server has answered already, and
	// wants to end.
	if err := c.until(time.Now().Add(patience), func() bool { return len(c.received) > 0 && c.peerDone }, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hostname\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "bye" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	if _, err := c.Read(b); !errors.Is(err, io.EOF) {
		t.Fatalf("read after the end: %v", err)
	}
}

func TestReadDeadline(t *testing.T) {
	c := newConn(secrets{}, 1, 2)
	if err := c.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(nil); err == nil {
		t.Error("Read has no error after its deadline")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(packet{1, 2, 3, []chunk{{typeInit, 0, initValue(4, 5)}}}.encode())
	f.Add(packet{1, 2, 3, []chunk{{typeInitAck, 0, withCookie(initValue(4, 5), secrets{1, 2, 3, 4}.cookie())}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		for _, k := range p.chunks {
			if _, _, cookie, ok := readInit(k.value); ok {
				readCookie(cookie)
			}
			c := newConn(secrets{}, 1, 2)
			c.send = func([]byte) error { return nil }
			c.handle(k)
		}
	})
}
