package sctp

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// dialPatience bounds DialSCTP. Its callers have limits of their own, and give up before.
const dialPatience = time.Minute

// DialSCTP opens an association to a peer. Without a local address, or port, one is chosen.
func DialSCTP(_ string, local, peer *SCTPAddr) (*SCTPConn, error) {
	ip := peer.first()
	if ip == nil {
		ip = net.IPv4(127, 0, 0, 1)
	}
	// The socket is connected, so that the kernel reports what ICMP says.
	socket, err := net.DialIP(rawNetwork(ip), nil, &net.IPAddr{IP: ip})
	if err != nil {
		return nil, err
	}
	port := 32768 + rand.N[uint16](28000)
	if local != nil && local.Port != 0 {
		port = uint16(local.Port)
	}
	c := newConn(secrets{LocalTag: someTag(), LocalTSN: someTag()}, port, uint16(peer.Port))
	c.local, c.peer = socket.LocalAddr().(*net.IPAddr).IP, ip
	c.send = func(b []byte) error { _, err := socket.Write(b); return err }
	c.release = func() { _ = socket.Close() }
	d := &dialer{conn: c}
	go d.read(socket)
	if err := d.handshake(); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return c, nil
}

// dialer is an association that is being opened.
type dialer struct {
	conn   *SCTPConn
	cookie []byte // of the peer's INIT ACK; under conn.mu
}

func (d *dialer) handshake() error {
	c := d.conn
	limit := time.Now().Add(dialPatience)
	err := c.until(limit, func() bool { return d.cookie != nil || c.over }, func() error {
		// An INIT has the tag 0: the peer's is not known yet.
		return c.write(chunk{kind: typeInit, value: initValue(c.secrets.LocalTag, c.secrets.LocalTSN+1)})
	})
	if err == nil {
		err = c.until(limit, func() bool { return c.open || c.over }, func() error {
			return c.write(chunk{kind: typeCookieEcho, value: d.cookie})
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.err)
}

// read takes packets until the socket is closed.
func (d *dialer) read(socket *net.IPConn) {
	c := d.conn
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := socket.ReadFromIP(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // what ICMP says
			c.mu.Lock()
			if !c.open {
				c.end(err)
			}
			c.mu.Unlock()
			continue
		}
		p, err := decode(buffer[:n])
		if err != nil || p.source != c.peerPort || p.destination != c.localPort || p.tag != c.secrets.LocalTag {
			continue
		}
		for _, k := range p.chunks {
			if k.kind == typeInitAck {
				d.takeInitAck(k.value)
			} else {
				c.handle(k)
			}
		}
	}
}

func (d *dialer) takeInitAck(value []byte) {
	tag, tsn, cookie, ok := readInit(value)
	c := d.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && d.cookie == nil && cookie != nil {
		c.secrets.PeerTag, c.secrets.PeerTSN, d.cookie = tag, tsn-1, cookie
		c.wake()
	}
}
