package sctp

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	retransmit = 250 * time.Millisecond
	// patience bounds how long a message or the end of an association is repeated.
	patience   = 3 * time.Second
	maxMessage = 1200 // of user data in one packet
)

// SCTPConn is an association. Its methods can be called from several goroutines.
type SCTPConn struct {
	send                func([]byte) error // one packet to the peer
	release             func()             // the association is over
	localPort, peerPort uint16
	local, peer         net.IP

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when anything below changes
	secrets  secrets       // TSNs are the last ones: sent, and received without a gap
	acked    uint32        // the last TSN that the peer has
	stream   uint16        // the next stream sequence number
	received [][]byte      // messages that nobody has read yet
	open     bool          // data can go both ways
	peerDone bool          // the peer sends no more
	over     bool          // nothing more is sent or received
	err      error         // why it is over, if not by Close
	deadline time.Time     // of Read
}

func newConn(s secrets, localPort, peerPort uint16) *SCTPConn {
	s.LocalTSN-- // the first that is sent is the one that was announced
	s.PeerTSN--
	return &SCTPConn{
		secrets: s, acked: s.LocalTSN, localPort: localPort, peerPort: peerPort, changed: make(chan struct{}),
	}
}

// someTag is a verification tag or a first TSN.
func someTag() uint32 { return rand.Uint32() | 1 }

// wake tells those who wait. The caller holds mu.
func (c *SCTPConn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// end makes the association over. The caller holds mu.
func (c *SCTPConn) end(err error) {
	if c.over {
		return
	}
	c.over, c.peerDone, c.err = true, true, err
	c.wake()
	if c.release != nil {
		// A lost SHUTDOWN ACK is asked for again.
		time.AfterFunc(patience, c.release)
	}
}

func (c *SCTPConn) write(chunks ...chunk) error {
	return c.send(packet{c.localPort, c.peerPort, c.secrets.PeerTag, chunks}.encode())
}

// reply writes what needs no answer: if it is lost, the peer asks again.
func (c *SCTPConn) reply(kind chunkType, value []byte) { _ = c.write(chunk{kind: kind, value: value}) }

// until waits until done says so, and calls repeat before, and again while it takes
// long; both with mu held. A zero limit is none.
func (c *SCTPConn) until(limit time.Time, done func() bool, repeat func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for next := time.Now(); !done(); {
		now := time.Now()
		if !limit.IsZero() && !now.Before(limit) {
			return os.ErrDeadlineExceeded
		}
		if repeat != nil && !now.Before(next) {
			if err := repeat(); err != nil && !errors.Is(err, syscall.EPERM) {
				return err // EPERM is how a local packet filter drops, for now
			}
			next = now.Add(retransmit)
		}
		wait := time.Hour
		if repeat != nil {
			wait = next.Sub(now)
		}
		if !limit.IsZero() {
			wait = min(wait, limit.Sub(now))
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(wait):
		}
		c.mu.Lock()
	}
	return nil
}

// Write sends b, as messages of up to 1200 bytes, and waits until the peer has them.
func (c *SCTPConn) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		part := b[sent:min(len(b), sent+maxMessage)]
		if err := c.writeMessage(part); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}

func (c *SCTPConn) writeMessage(b []byte) error {
	c.mu.Lock()
	c.secrets.LocalTSN++
	tsn := c.secrets.LocalTSN
	value := binary.BigEndian.AppendUint32(nil, tsn)
	value = binary.BigEndian.AppendUint16(value, 0) // the stream
	value = binary.BigEndian.AppendUint16(value, c.stream)
	value = binary.BigEndian.AppendUint32(value, 0) // the payload's protocol
	value = append(value, b...)
	c.stream++
	c.mu.Unlock()
	var failed error
	err := c.until(time.Now().Add(patience), func() bool {
		if c.over {
			failed = c.err
			if failed == nil {
				failed = net.ErrClosed
			}
			return true
		}
		return int32(c.acked-tsn) >= 0
	}, func() error { return c.write(chunk{typeData, wholeData, value}) })
	return errors.Join(err, failed)
}

// Read reads one message; what does not fit into b is lost. It gives io.EOF when
// the peer has ended the association.
func (c *SCTPConn) Read(b []byte) (n int, err error) {
	c.mu.Lock()
	limit := c.deadline
	c.mu.Unlock()
	timeout := c.until(limit, func() bool {
		switch {
		case len(c.received) > 0:
			n = copy(b, c.received[0])
			c.received = c.received[1:]
		case c.err != nil:
			err = c.err
		case c.peerDone:
			err = io.EOF
		default:
			return false
		}
		return true
	}, nil)
	if timeout != nil {
		return 0, timeout
	}
	return n, err
}

// Close ends the association, and waits a moment for the peer to agree.
func (c *SCTPConn) Close() error {
	_ = c.until(time.Now().Add(3*retransmit), func() bool { return c.over }, func() error {
		return c.write(chunk{kind: typeShutdown, value: binary.BigEndian.AppendUint32(nil, c.secrets.PeerTSN)})
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(nil)
	return nil
}

// handle takes a chunk of this association.
func (c *SCTPConn) handle(k chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch k.kind {
	case typeData:
		c.takeData(k.value)
	case typeSack:
		if len(k.value) >= 4 {
			if acked := binary.BigEndian.Uint32(k.value); int32(acked-c.acked) > 0 {
				c.acked = acked
				c.wake()
			}
		}
	case typeCookieEcho: // our COOKIE ACK was lost
		c.reply(typeCookieAck, nil)
	case typeCookieAck:
		if !c.open {
			c.open = true
			c.wake()
		}
	case typeShutdown:
		c.peerDone = true
		c.wake()
		// Else it asks again: when it has what is under way, and when the program here has
		// read what came. Until then it may have something to say: a peer that answers and
		// ends at once must not make a slow client's first message fail.
		if c.acked == c.secrets.LocalTSN && len(c.received) == 0 {
			c.reply(typeShutdownAck, nil)
		}
	case typeShutdownAck:
		c.reply(typeShutdownComplete, nil)
		c.end(nil)
	case typeShutdownComplete:
		c.end(nil)
	case typeAbort:
		c.end(syscall.ECONNRESET)
	}
}

// takeData takes a message if it is the next one, and says which was the last.
func (c *SCTPConn) takeData(value []byte) {
	if len(value) < dataLen {
		return
	}
	if tsn := binary.BigEndian.Uint32(value); tsn == c.secrets.PeerTSN+1 && !c.over {
		c.secrets.PeerTSN = tsn
		c.received = append(c.received, append([]byte(nil), value[dataLen:]...))
		c.wake()
	}
	sack := binary.BigEndian.AppendUint32(nil, c.secrets.PeerTSN)
	sack = binary.BigEndian.AppendUint32(sack, window)
	c.reply(typeSack, binary.BigEndian.AppendUint32(sack, 0)) // no gaps, no duplicates
}

// SetReadDeadline bounds the calls of Read that begin after it.
func (c *SCTPConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

// SetDeadline is SetReadDeadline: Write has a bound of its own.
func (c *SCTPConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: Write has a bound of its own.
func (c *SCTPConn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is this side's address.
func (c *SCTPConn) LocalAddr() net.Addr { return newAddr(c.local, c.localPort) }

// RemoteAddr is the peer's address.
func (c *SCTPConn) RemoteAddr() net.Addr { return newAddr(c.peer, c.peerPort) }

// SCTPRemoteAddr is RemoteAddr. An association here has one.
func (c *SCTPConn) SCTPRemoteAddr(int) (*SCTPAddr, error) { return newAddr(c.peer, c.peerPort), nil }
