package sctp

import (
	"errors"
	"net"
	"sync"
)

// SCTPListener accepts associations on a port.
type SCTPListener struct {
	address *SCTPAddr
	sockets []*net.IPConn
	accept  chan *SCTPConn
	closed  chan struct{}
	once    sync.Once

	mu    sync.Mutex
	conns map[key]*SCTPConn
}

// key is what tells the packets of one association from another's.
type key struct {
	peer     string // the address
	port     uint16
	localTag uint32
}

// ListenSCTP listens on a port of an address, or of all addresses of both families.
func ListenSCTP(_ string, address *SCTPAddr) (*SCTPListener, error) {
	l := &SCTPListener{
		address: address, accept: make(chan *SCTPConn, 128), closed: make(chan struct{}), conns: map[key]*SCTPConn{},
	}
	ip := address.first()
	networks := []string{"ip4:132", "ip6:132"}
	if ip != nil && !ip.IsUnspecified() {
		networks = []string{rawNetwork(ip)}
	} else {
		ip = nil
	}
	var failed error
	for _, network := range networks {
		socket, err := net.ListenIP(network, &net.IPAddr{IP: ip})
		if err != nil {
			failed = err // a machine may lack one of the families
			continue
		}
		l.sockets = append(l.sockets, socket)
		go l.read(socket)
	}
	if len(l.sockets) == 0 {
		return nil, failed
	}
	return l, nil
}

// read takes packets until the socket is closed.
func (l *SCTPListener) read(socket *net.IPConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := socket.ReadFromIP(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p, err := decode(buffer[:n])
		if err != nil || int(p.destination) != l.address.Port {
			continue
		}
		for _, k := range p.chunks {
			l.take(socket, from, p, k)
		}
	}
}

// take handles one chunk.
func (l *SCTPListener) take(socket *net.IPConn, from *net.IPAddr, p packet, k chunk) {
	if k.kind == typeInit {
		l.answerInit(socket, from, p, k.value)
		return
	}
	id := key{from.IP.String(), p.source, p.tag}
	l.mu.Lock()
	c := l.conns[id]
	if c == nil && k.kind == typeCookieEcho {
		c = l.open(socket, from, p, id, k.value)
	}
	l.mu.Unlock()
	if c != nil {
		c.handle(k)
	}
}

func (l *SCTPListener) answerInit(socket *net.IPConn, from *net.IPAddr, p packet, value []byte) {
	tag, tsn, _, ok := readInit(value)
	if !ok {
		return
	}
	s := secrets{LocalTag: someTag(), LocalTSN: someTag(), PeerTag: tag, PeerTSN: tsn}
	answer := chunk{kind: typeInitAck, value: withCookie(initValue(s.LocalTag, s.LocalTSN), s.cookie())}
	// If it is lost, the client asks again.
	_, _ = socket.WriteToIP(packet{p.destination, p.source, tag, []chunk{answer}}.encode(), from)
}

// open makes the association that a cookie describes. The caller holds mu.
func (l *SCTPListener) open(socket *net.IPConn, from *net.IPAddr, p packet, id key, cookie []byte) *SCTPConn {
	s, ok := readCookie(cookie)
	if !ok || s.LocalTag != p.tag {
		return nil
	}
	peer := &net.IPAddr{IP: append(net.IP(nil), from.IP...), Zone: from.Zone}
	c := newConn(s, p.destination, p.source)
	c.open, c.local, c.peer = true, l.address.first(), peer.IP
	c.send = func(b []byte) error { _, err := socket.WriteToIP(b, peer); return err }
	c.release = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, id)
	}
	select {
	case l.accept <- c:
		l.conns[id] = c
		return c
	default:
		return nil // the backlog is full: the client tries again
	}
}

// AcceptSCTP waits for an association.
func (l *SCTPListener) AcceptSCTP() (*SCTPConn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept is AcceptSCTP.
func (l *SCTPListener) Accept() (net.Conn, error) { return l.AcceptSCTP() }

// Addr is the address that it listens on.
func (l *SCTPListener) Addr() net.Addr { return l.address }

// Close ends listening, and the associations with it.
func (l *SCTPListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		for _, s := range l.sockets {
			err = errors.Join(err, s.Close())
		}
	})
	return err
}
