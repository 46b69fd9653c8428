package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tierwall/tierwall/policy"
)

// Conn is a connection that lives on, to see whether a change of policy cuts it.
type Conn struct {
	lab  *Lab
	conn net.Conn
	flow policy.Flow
	to   *Host

	mu      sync.Mutex // one exchange at a time
	pending []byte     // the start of a line that has not come whole
}

// Open makes the TCP connection or the UDP exchange that the flow describes and
// keeps it open. Hosts and servers are found as in Probe, and it is as patient. Close it
// after use.
func (l *Lab) Open(ctx context.Context, flow policy.Flow, timeout time.Duration) (*Conn, error) {
	kinds := map[policy.Protocol]string{policy.TCP: "tcp", policy.UDP: "udp"}
	kind, ok := kinds[flow.Protocol]
	if !ok {
		return nil, fmt.Errorf("lab: protocol %s has no connections that live on", flow.Protocol)
	}
	from, to, err := l.ends(flow)
	if err != nil {
		return nil, err
	}
	if err := to.Serve(flow.Protocol, flow.DstPort); err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	dialCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conn net.Conn
	dialed := make(chan result, 1)
	go func() {
		c, err := from.dialFlow(dialCtx, kind, flow)
		conn = c
		dialed <- result{err: err}
	}()
	r, err := l.await(ctx, dialed, to, flow, timeout)
	if err == nil {
		err = r.err
	} else {
		cancel()
		if r := <-dialed; r.err == nil { // too late
			_ = conn.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lab: open %s %s -> %s: %w", flow.Protocol, flow.Src,
			netip.AddrPortFrom(flow.Dst, flow.DstPort), err)
	}
	switch local := conn.LocalAddr().(type) {
	case *net.TCPAddr:
		flow.SrcPort = uint16(local.Port)
	case *net.UDPAddr:
		flow.SrcPort = uint16(local.Port)
	}
	c := &Conn{lab: l, conn: conn, flow: flow, to: to}
	if err := c.Exchange(timeout); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Exchange sends a few bytes and waits for their echo: nil says that the
// connection lives. It waits for the timeout, longer on a busy machine (see
// Probe). After an error the connection may still come back to life, as TCP
// repeats what was lost; the next Exchange tells.
func (c *Conn) Exchange(timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	answer := make(chan result, 1)
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lab: connection %s: %w", c, err)
	}
	go func() { answer <- result{err: c.echo(rand.Text())} }()
	r, err := c.lab.await(context.Background(), answer, c.to, c.flow, timeout)
	if err == nil {
		err = r.err
	} else {
		// Wake the reader, and wait until it is gone.
		if deadlineErr := c.conn.SetReadDeadline(time.Now()); deadlineErr != nil {
			return errors.Join(err, deadlineErr)
		}
		if r := <-answer; r.err == nil {
			err = nil // it came at the last moment
		}
	}
	if err != nil {
		return fmt.Errorf("lab: connection %s: %w", c, err)
	}
	return nil
}

// echo sends a text and reads until its echo comes. Those of exchanges before, given
// up since, may come first.
func (c *Conn) echo(text string) error {
	if _, err := c.conn.Write([]byte(text + "\n")); err != nil {
		return err
	}
	buf := make([]byte, maxLine)
	for {
		for {
			line, rest, whole := bytes.Cut(c.pending, []byte("\n"))
			if !whole {
				break
			}
			c.pending = rest
			if _, _, ok := parseAnswer(string(line), text); ok {
				return nil
			}
		}
		n, err := c.conn.Read(buf)
		if err != nil {
			return err
		}
		c.pending = append(c.pending, buf[:n]...)
	}
}

// Flow returns the flow with the source port that it got.
func (c *Conn) Flow() policy.Flow { return c.flow }

// String returns "TCP 10.0.0.1:50000 -> 10.0.0.2:80".
func (c *Conn) String() string {
	return fmt.Sprintf("%s %s -> %s", c.flow.Protocol, c.conn.LocalAddr(), c.conn.RemoteAddr())
}

// IsSilence reports whether an error of Open or Exchange says that no answer
// came in time, rather than that the connection was refused or reset.
func IsSilence(err error) bool {
	return errors.As(err, new(silence)) || errors.Is(err, os.ErrDeadlineExceeded)
}

// Close closes the connection; TCP ends by RST, so that its port can be used again.
func (c *Conn) Close() error {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else it just ends by FIN
	}
	return c.conn.Close()
}
