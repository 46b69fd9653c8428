package cni

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/serve"
)

const (
	// maxConns is how many plugins may wait at once. A node has a few hundred pods;
	// those beyond wait to be let in.
	maxConns = 1024
	// requestTimeout is how long a plugin may take to say what it wants.
	requestTimeout = 5 * time.Second
	// replyTimeout is how long it may take to read the answer.
	replyTimeout = 5 * time.Second
)

// ServerConfig says how a server does its work.
type ServerConfig struct {
	// Socket is the path of the unix socket; empty: DefaultSocket. The records are in a
	// directory beside it, of the same name without ".sock".
	Socket   string
	Enforcer Enforcer
	Log      *slog.Logger
	// Observe is told of each request once it is done, for metrics: op is "add",
	// "del", "check", "gc" or "status", took how long the answer took, err why it was
	// refused. It may be called from many goroutines; nil: nobody is told.
	Observe func(op string, took time.Duration, err error)
}

// Server answers the CNI plugin of this host. There is one at most for a socket.
type Server struct {
	cfg      ServerConfig
	listener *net.UnixListener
	pods     *pods
	room     chan struct{} // a token for each plugin that may be let in
}

// Listen opens the socket, which replaces one that an earlier agent left, and reads the
// records. Plugins can connect from now on and wait; Serve answers them. The caller makes sure
// that no other server uses the socket, as the agent's lock does.
func Listen(cfg ServerConfig) (*Server, error) {
	if cfg.Socket == "" {
		cfg.Socket = DefaultSocket
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Socket), 0o755); err != nil {
		return nil, fmt.Errorf("CNI socket: %w", err)
	}
	listener, err := serve.Unix(cfg.Socket, 0o600, -1)
	if err != nil {
		return nil, fmt.Errorf("CNI socket: %w", err)
	}
	s := &Server{
		cfg: cfg, listener: listener, room: make(chan struct{}, maxConns),
		pods: &pods{
			enforcer: cfg.Enforcer, dir: wire.RecordsDir(cfg.Socket), log: cfg.Log, linkExists: linkExists,
			records: make(map[wire.Attachment]Record), owners: make(map[netip.Addr]wire.Attachment),
		},
	}
	// After the socket, so that a plugin either reaches this server or has
	// changed the records before they are read.
	if err := s.pods.read(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

// Records returns the pods that have started on this host and not ended, ordered by
// namespace, name and container. Read them before the first state is put into
// the kernel: the API may not tell their addresses yet.
func (s *Server) Records() []Record { return s.pods.list() }

// Prune forgets the records of pods of which gone is true, which it may not be for
// a pod that the API just does not tell of yet. It gives their number.
func (s *Server) Prune(ctx context.Context, gone func(Record) bool) int {
	return s.pods.prune(ctx, gone)
}

// Waiting is the number of pods held up at this moment.
func (s *Server) Waiting() int {
	s.pods.mu.Lock()
	defer s.pods.mu.Unlock()
	return s.pods.waiting
}

// Close ends a server that is not asked to Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Serve answers until the context ends, then lets go of those who wait: their
// plugins turn to the next agent. It fails if the socket does. When it returns, the
// enforcer is not called any more.
func (s *Server) Serve(ctx context.Context) error {
	served, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { stop(ErrStopping); _ = s.listener.Close() })()
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(ErrStopping)
	work.Go(func() { s.pods.sweepEvery(served, sweepInterval) })
	s.cfg.Log.Info("answering the CNI plugin", "socket", s.cfg.Socket, "records", len(s.Records()))
	for {
		select {
		case s.room <- struct{}{}:
		case <-served.Done():
			return nil
		}
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			<-s.room
			if ctx.Err() != nil {
				return nil
			}
			if !shortage(err) {
				return errors.Join(fmt.Errorf("CNI socket: %w", err), s.listener.Close())
			}
			s.cfg.Log.Error("a CNI plugin has to wait", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-served.Done():
			}
			continue
		}
		work.Go(func() {
			defer func() { <-s.room }()
			s.handle(served, conn)
		})
	}
}

// shortage reports whether an error of accept is about means that come back.
func shortage(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
