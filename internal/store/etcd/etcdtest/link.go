package etcdtest

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Link is a way to a member that a test can cut: a partition of the network.
type Link struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	isCut    bool
	open     map[net.Conn]bool
}

// NewLink opens a way to a member.
func NewLink(t testing.TB, m *Member) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, target, _ := strings.Cut(m.URL, "://")
	l := &Link{listener: listener, target: target, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
	})
	go l.accept()
	return l
}

// URL returns where a client must go to use the link; of plain http.
func (l *Link) URL() string { return "http://" + l.listener.Addr().String() }

// Cut ends all connections and lets no new one through.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.open {
		_ = c.Close()
	}
}

// Mend lets connections through again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

func (l *Link) accept() {
	for {
		in, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.serve(in)
	}
}

func (l *Link) serve(in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	if !l.add(in, out) {
		return
	}
	defer l.remove(in, out)
	var wg sync.WaitGroup
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
	}
	wg.Go(func() { pipe(out, in) })
	wg.Go(func() { pipe(in, out) })
	wg.Wait()
}

// add keeps connections to be cut; false if the link is cut already.
func (l *Link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.open[c] = true
	}
	return !l.isCut
}

func (l *Link) remove(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.open, c)
	}
}
