package extauthz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// loader asks over HTTP/2 connections as a proxy does: many requests in flight on
// each, headers that the dynamic table holds already, batches where several are
// due. It is one thread that never sleeps, and does so little for a request that
// the server is what is measured. Answers are checked for their verdict.
type loader struct {
	conns         []*loadConn
	first, headed []byte // the block of headers of a connection's first request, and of all others
	asks          [][]byte
	allowed       []bool // the right verdict of each

	took []time.Duration // from when a request was due to the end of its answer
	done int

	// Requests that were due before the last moment at which this process did not
	// run say more about the machine than about the server. They are counted.
	awake, slept time.Time
	disturbed    int

	seen  int // answers
	since time.Time
}

// patience is how long a server may answer nothing before the loader gives up.
const patience = 5 * time.Second

// nap is how long a turn of a paced loader never takes by itself.
const nap = 50 * time.Microsecond

// loadConn is a connection of a loader.
type loadConn struct {
	l       *loader
	fd      int
	in, out []byte
	next    uint32 // the next stream
	window  int    // how much the server takes
	eaten   int    // of our own window
	flying  int
	due     [flightRing]time.Time
	ask     [flightRing]int
	judged  [flightRing]bool
}

const (
	flightRing  = 4096 // more than are ever in flight
	loadWindow  = 1 << 30
	frameHeader = 9
)

// newLoader connects to a socket. raws are requests, allowed their right verdicts.
func newLoader(path string, conns int, raws [][]byte, allowed []bool) (*loader, error) {
	l := &loader{allowed: allowed}
	for _, raw := range raws {
		l.asks = append(l.asks, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(raw))), raw...)) //nolint:gosec // a length
	}
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	for _, block := range []*[]byte{&l.first, &l.headed} {
		buf.Reset()
		for _, f := range [][2]string{
			{":method", "POST"}, {":path", "/" + serviceName + "/" + checkMethod}, {":authority", "tierwall"}, {":scheme", "http"},
			{"te", "trailers"}, {"grpc-timeout", "500m"}, {"content-type", "application/grpc"}, {"x-envoy-internal", "true"},
			{"x-forwarded-for", "10.65.2.21"},
		} {
			if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				return nil, err
			}
		}
		*block = bytes.Clone(buf.Bytes())
	}
	for range conns {
		c, err := l.dial(path)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.conns = append(l.conns, c)
	}
	return l, nil
}

func (l *loader) dial(path string) (*loadConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &loadConn{l: l, fd: fd, next: 1, window: 65535, in: make([]byte, 0, 1<<20)}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	var hello bytes.Buffer
	hello.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&hello, nil)
	err = errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: loadWindow}, http2.Setting{ID: http2.SettingEnablePush}),
		f.WriteWindowUpdate(0, loadWindow), unix.SetNonblock(fd, true))
	c.out = hello.Bytes()
	return c, errors.Join(err, c.flush())
}

func (l *loader) close() error {
	var err error
	for _, c := range l.conns {
		err = errors.Join(err, unix.Close(c.fd))
	}
	return err
}

// waits returns up on a server that answers nothing any more.
func (l *loader) waits(now time.Time) error {
	switch {
	case l.seen != l.done || l.since.IsZero():
		l.seen, l.since = l.done, now
	case now.Sub(l.since) > patience:
		return fmt.Errorf("after %d answers there came none for %v", l.done, patience)
	}
	return nil
}

// flatOut asks n times with so many in flight on each connection, always.
func (l *loader) flatOut(n, inFlight int) error {
	l.took, l.done, l.disturbed, l.slept, l.since = l.took[:0], 0, 0, time.Time{}, time.Time{}
	asked := 0
	for l.done < n {
		if err := l.waits(time.Now()); err != nil {
			return err
		}
		for _, c := range l.conns {
			for ; asked < n && c.flying < inFlight && c.fits(asked); asked++ {
				c.send(asked, time.Now())
			}
			if err := c.turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// paced asks n times at a rate, at random moments as independent clients do,
// whether or not earlier ones were answered. What is answered late because the
// server was busy is late by all of that.
func (l *loader) paced(n int, perSecond float64) error {
	l.took, l.done, l.disturbed, l.since = l.took[:0], 0, 0, time.Time{}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not secret
	due, asked := time.Now(), 0
	l.awake, l.slept = due, due
	for l.done < n {
		now := time.Now()
		if now.Sub(l.awake) > nap {
			l.slept = now
		}
		l.awake = now
		if err := l.waits(now); err != nil {
			return err
		}
		for ; asked < n && !due.After(now); asked++ {
			c := l.conns[asked%len(l.conns)]
			if !c.fits(asked) || c.flying == maxStreams {
				break
			}
			c.send(asked, due)
			due = due.Add(time.Duration(random.ExpFloat64() / perSecond * float64(time.Second)))
		}
		for _, c := range l.conns {
			if err := c.turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *loadConn) fits(i int) bool { return c.window >= len(c.l.asks[i%len(c.l.asks)]) }

// send puts a request into what goes out.
func (c *loadConn) send(i int, due time.Time) {
	i %= len(c.l.asks)
	block, body := c.l.headed, c.l.asks[i]
	if c.next == 1 {
		block = c.l.first
	}
	c.out = appendFrame(c.out, http2.FrameHeaders, http2.FlagHeadersEndHeaders, c.next, block)
	c.out = appendFrame(c.out, http2.FrameData, http2.FlagDataEndStream, c.next, body)
	slot := c.next / 2 % flightRing
	c.due[slot], c.ask[slot], c.judged[slot] = due, i, false
	c.next += 2
	c.window -= len(body)
	c.flying++
}

func appendFrame(b []byte, t http2.FrameType, flags http2.Flags, stream uint32, body []byte) []byte {
	n := len(body)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(t), byte(flags)) //nolint:gosec // a length
	return append(binary.BigEndian.AppendUint32(b, stream), body...)
}

// turn writes what there is to write, and reads what there is to read.
func (c *loadConn) turn() error {
	if err := c.flush(); err != nil {
		return err
	}
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server has closed the connection")
	}
	c.in = c.in[:len(c.in)+n]
	rest := c.in
	for len(rest) >= frameHeader {
		size := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		if len(rest) < frameHeader+size {
			break
		}
		if err := c.frame(http2.FrameType(rest[3]), http2.Flags(rest[4]), binary.BigEndian.Uint32(rest[5:]), rest[frameHeader:frameHeader+size]); err != nil {
			return err
		}
		rest = rest[frameHeader+size:]
	}
	c.in = c.in[:copy(c.in[:cap(c.in)], rest)]
	return nil
}

func (c *loadConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	n, err := unix.Write(c.fd, c.out)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	}
	c.out = c.out[:copy(c.out, c.out[n:])]
	return nil
}

// frame takes one frame of the server's in.
func (c *loadConn) frame(t http2.FrameType, flags http2.Flags, stream uint32, body []byte) error {
	slot := stream / 2 % flightRing
	switch t {
	case http2.FrameSettings:
		if !flags.Has(http2.FlagSettingsAck) {
			c.out = appendFrame(c.out, http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
		}
	case http2.FramePing:
		if !flags.Has(http2.FlagPingAck) {
			c.out = appendFrame(c.out, http2.FramePing, http2.FlagPingAck, 0, body)
		}
	case http2.FrameWindowUpdate:
		if stream == 0 {
			c.window += int(binary.BigEndian.Uint32(body))
		}
	case http2.FrameData:
		// The status comes first in a message: empty, or with a code.
		if len(body) < 7 || body[5] != 0x0a || (body[6] == 0) != c.l.allowed[c.ask[slot]] {
			return fmt.Errorf("stream %d: not the right answer: %x", stream, body)
		}
		c.judged[slot] = true
		if c.eaten += len(body); c.eaten > loadWindow/2 {
			c.out = appendFrame(c.out, http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(c.eaten))) //nolint:gosec // less than the window
			c.eaten = 0
		}
	case http2.FrameHeaders:
		if !flags.Has(http2.FlagHeadersEndStream) {
			return nil
		}
		if !c.judged[slot] {
			return fmt.Errorf("stream %d ends without an answer", stream)
		}
		if c.due[slot].Before(c.l.slept) {
			c.l.disturbed++
		} else {
			c.l.took = append(c.l.took, time.Since(c.due[slot]))
		}
		c.l.done++
		c.flying--
	default:
		return fmt.Errorf("stream %d: unexpected %v", stream, t)
	}
	return nil
}
