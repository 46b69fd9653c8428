package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/tierwall/tierwall/policy"
)

// Serve starts the built-in server of the host for a protocol and port, on every
// address that the host owns, of both families. It does nothing if there is one
// already. Protocols without ports ignore the port; ICMP and ICMPv6 need no server.
//
// The TCP server answers each line "X" by "HOST SOURCE X", where SOURCE is the
// address and port that the connection came from; to an HTTP request it answers the
// same in an HTTP response: curl shows who answered. The UDP server and those of
// raw protocols answer each packet likewise.
func (h *Host) Serve(protocol policy.Protocol, port uint16) error {
	key := service{protocol, port}
	if protocol != policy.TCP && protocol != policy.UDP {
		key.port = 0
	} else if port == 0 {
		return fmt.Errorf("lab: serve %s on %s: port 0 is no port", protocol, h.name)
	}
	if protocol == 0 || protocol == rawOnly {
		return fmt.Errorf("lab: serve protocol %s on %s: sockets cannot have that protocol", protocol, h.name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.servers[key] != nil {
		return nil
	}
	s := &server{host: h, open: map[io.Closer]bool{}}
	if err := s.start(key); err != nil {
		_ = s.close()
		return fmt.Errorf("lab: serve %s port %d on %s: %w", protocol, port, h.name, err)
	}
	if h.servers == nil {
		h.servers = map[service]*server{}
	}
	h.servers[key] = s
	return nil
}

// rawOnly is the protocol number of sockets that can only send.
const rawOnly policy.Protocol = 255

// service names a server of a host; its port is 0 where the protocol has none.
// All ports of SCTP are one service, as it needs a raw socket.
type service struct {
	protocol policy.Protocol
	port     uint16
}

// server serves one service: it has a listener, or a socket, for each family.
type server struct {
	host *Host
	done sync.WaitGroup

	mu     sync.Mutex
	open   map[io.Closer]bool
	closed bool
}

// start opens the sockets.
func (s *server) start(key service) error {
	for _, wildcard := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if !s.host.first(wildcard.Is4()).IsValid() || isICMP(key.protocol, wildcard) {
			continue
		}
		if err := s.listen(key, wildcard); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) listen(key service, wildcard netip.Addr) error {
	switch key.protocol {
	case policy.TCP:
		ln, err := s.host.Listen(networkOf("tcp", wildcard), netip.AddrPortFrom(wildcard, key.port).String())
		if err != nil {
			return err
		}
		s.run(ln, func() { s.accept(ln) })
		return nil
	case policy.UDP:
		conn, err := s.host.ListenPacket(networkOf("udp", wildcard), netip.AddrPortFrom(wildcard, key.port).String())
		if err != nil {
			return err
		}
		udp := conn.(*net.UDPConn)
		s.run(udp, func() { s.answerUDP(udp) })
		return askDestination(udp, wildcard.Is4())
	}
	conn, err := s.host.ListenPacket(rawNetwork(uint8(key.protocol), wildcard), wildcard.String())
	if err != nil {
		return err
	}
	raw := conn.(*net.IPConn)
	answer := s.rawAnswer
	if key.protocol == policy.SCTP {
		answer = s.sctpAnswer
	}
	s.run(raw, func() { s.answerRaw(raw, wildcard.Is4(), answer) })
	return askDestination(raw, wildcard.Is4())
}

// run runs f, which uses the socket, until the server or the socket is closed.
func (s *server) run(socket io.Closer, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = socket.Close()
		return
	}
	s.open[socket] = true
	s.done.Go(func() {
		f()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, socket)
		_ = socket.Close()
	})
}

// close closes all sockets and waits for the goroutines.
func (s *server) close() error {
	s.mu.Lock()
	s.closed = true
	var errs []error
	for socket := range s.open {
		if err := socket.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.mu.Unlock()
	s.done.Wait()
	return errors.Join(errs...)
}
