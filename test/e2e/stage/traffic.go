package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Place is where traffic begins or ends: a pod or a node.
type Place interface {
	Do(f func() error) error
}

// Server answers each datagram, and each line of a TCP connection, by the same. It counts
// what reaches it.
type Server struct {
	Addr netip.AddrPort
	udp  net.PacketConn
	tcp  net.Listener

	mu     sync.Mutex
	seen   map[netip.Addr]int // datagrams and connections, by the sender's address
	live   map[net.Conn]bool
	closed bool
}

// Serve starts a server in a place, at an address of it. It ends with the test.
func Serve(t testing.TB, where Place, addr netip.Addr, port uint16) *Server {
	t.Helper()
	s := &Server{Addr: netip.AddrPortFrom(addr, port), seen: map[netip.Addr]int{}, live: map[net.Conn]bool{}}
	err := where.Do(func() (err error) {
		if s.udp, err = net.ListenPacket("udp", s.Addr.String()); err != nil {
			return err
		}
		// A client may use the server's port as its own (Try).
		s.tcp, err = (&net.ListenConfig{Control: reusePort}).Listen(context.Background(), "tcp", s.Addr.String())
		return err
	})
	if err != nil {
		t.Fatalf("serve at %s: %v", s.Addr, err)
	}
	var all sync.WaitGroup
	all.Go(s.answerDatagrams)
	all.Go(func() { s.accept(&all) })
	t.Cleanup(func() {
		_ = s.udp.Close()
		_ = s.tcp.Close()
		s.hangUp()
		all.Wait()
	})
	return s
}

// Seen is how many datagrams and connections came from an address.
func (s *Server) Seen(from netip.Addr) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[from]
}

// SeenAll is Seen, for all addresses.
func (s *Server) SeenAll() map[netip.Addr]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[netip.Addr]int, len(s.seen))
	for a, n := range s.seen {
		all[a] = n
	}
	return all
}

// Forget begins to count anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.seen)
}

func (s *Server) count(from net.Addr) {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[at.Addr().Unmap()]++
}

func (s *Server) answerDatagrams() {
	buffer := make([]byte, 2048)
	for {
		n, from, err := s.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // what ICMP says of an answer that nobody waits for any more
		}
		s.count(from)
		_, _ = s.udp.WriteTo(buffer[:n], from)
	}
}

func (s *Server) accept(all *sync.WaitGroup) {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.count(conn.RemoteAddr())
		if !s.keep(conn) {
			return
		}
		all.Go(func() {
			defer func() { _ = conn.Close() }()
			_, _ = io.Copy(conn, io.LimitReader(conn, 1<<30)) // until the client ends, or the test
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.live, conn)
		})
	}
}

// keep remembers a connection, so that it can be ended at the end: a client whose connection was cut ends without a word.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return false
	}
	s.live[conn] = true
	return true
}

// hangUp ends all connections, and those that come.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.live {
		_ = conn.Close()
	}
}

// lost is how long an answer is waited for before it counts as lost. A packet takes a
// fraction of a millisecond; the rest is for a machine that is busy.
const lost = 20 * time.Second

// Flow is traffic from a place to a server that goes on until it is stopped, and of which policy allows
// everything. Nothing of it may be lost.
type Flow struct {
	what   string
	stop   context.CancelFunc
	done   chan struct{}
	rounds atomic.Int64
	err    error // when done
}

// Allowed starts flows of all sorts: datagrams and connections each from a new port, and a TCP connection that
// stays. They end with the test at the latest.
func Allowed(t testing.TB, from Place, to netip.AddrPort) []*Flow {
	t.Helper()
	return []*Flow{
		start(t, fmt.Sprintf("datagrams to %s", to), newDatagrams(from, to)),
		start(t, fmt.Sprintf("new connections to %s", to), newConnections(from, to)),
		start(t, fmt.Sprintf("the connection to %s", to), oneConnection(from, to)),
	}
}

// start runs rounds until the flow is stopped. A round takes its number.
func start(t testing.TB, what string, round func(ctx context.Context, n uint64) error) *Flow {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f := &Flow{what: what, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(5 * time.Millisecond) // the pace: this machine has other things to do
		defer tick.Stop()
		for n := uint64(1); ; n++ {
			if err := round(ctx, n); err != nil {
				f.err = fmt.Errorf("%s: round %d: %w", f.what, n, err)
				return
			}
			f.rounds.Add(1)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-f.done
	})
	return f
}

// Rounds is how many rounds have gone well.
func (f *Flow) Rounds() int64 { return f.rounds.Load() }

// Advance waits until each flow has done that many rounds more, or has failed.
func Advance(t testing.TB, flows []*Flow, rounds int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for _, f := range flows {
		target := f.Rounds() + rounds
		err := Eventually(ctx, func(context.Context) error {
			select {
			case <-f.done:
				return nil // Stop has its error
			default:
			}
			if n := f.Rounds(); n < target {
				return fmt.Errorf("%s: %d rounds of %d", f.what, n, target)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Stop ends flows, and fails the test if any has lost anything.
func Stop(t testing.TB, flows []*Flow) {
	t.Helper()
	for _, f := range flows {
		f.stop()
		<-f.done
		if f.err != nil {
			t.Error(f.err)
		}
		t.Logf("%s: %d rounds", f.what, f.Rounds())
	}
}

// newDatagrams sends datagrams, each from a new port, and awaits the answers.
func newDatagrams(from Place, to netip.AddrPort) func(context.Context, uint64) error {
	return func(_ context.Context, n uint64) error {
		conn, err := dial(from, "udp", to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		return exchange(conn, n)
	}
}

// newConnections makes connections.
func newConnections(from Place, to netip.AddrPort) func(context.Context, uint64) error {
	return func(_ context.Context, n uint64) error {
		conn, err := dial(from, "tcp", to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		return exchange(conn, n)
	}
}

// oneConnection uses one connection all the time.
func oneConnection(from Place, to netip.AddrPort) func(context.Context, uint64) error {
	var conn net.Conn
	return func(ctx context.Context, n uint64) (err error) {
		if conn == nil {
			if conn, err = dial(from, "tcp", to); err != nil {
				return err
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		if err := exchange(conn, n); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	}
}

func dial(from Place, network string, to netip.AddrPort) (conn net.Conn, err error) {
	err = from.Do(func() (err error) {
		d := net.Dialer{Timeout: lost}
		d.SetMultipathTCP(false)
		conn, err = d.Dial(network, to.String())
		return err
	})
	return conn, err
}

// exchange sends a number and awaits it.
func exchange(conn net.Conn, n uint64) error {
	if err := conn.SetDeadline(time.Now().Add(lost)); err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint64(nil, n)
	if _, err := conn.Write(b); err != nil {
		return err
	}
	answer := make([]byte, len(b))
	if _, err := io.ReadFull(conn, answer); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("no answer: %w", err)
		}
		return err
	}
	if got := binary.BigEndian.Uint64(answer); got != n {
		return fmt.Errorf("the answer is %d", got)
	}
	return nil
}
