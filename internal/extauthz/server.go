package extauthz

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/tierwall/tierwall/policy"
)

// What one client may take.
const (
	maxMessage     = 256 << 10 // a request: headers, and some body where the proxy sends it
	maxHeaderList  = 16 << 10
	maxStreams     = 100
	maxConnections = 256 // of all clients
	maxProving     = 64  // of them all, before they have proved who they are
	handshakeTime  = 5 * time.Second
	requestTime    = 5 * time.Second // from its head on; a proxy waits for less
	idleTime       = 5 * time.Minute
	silentTime     = time.Minute // until a client is asked whether it is there
	answerTime     = 20 * time.Second
	stopTime       = 5 * time.Second

	streamWindow = 64 << 10
	connWindow   = 1 << 20
)

// streamWorkers are goroutines that answer: their stacks have grown already. More
// than these get one of their own each. One costs some 10 KB.
const streamWorkers = 64

// Server answers proxies.
type Server struct {
	state    *State
	address  string // as configured
	listener net.Listener
	grpc     *grpc.Server
	health   *health.Server
	log      *slog.Logger
	counters counters
	peers    *peers
}

// Listen makes a server that decides by a state.
func Listen(cfg Config, state *State, log *slog.Logger) (*Server, error) {
	l, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	tls, err := cfg.tls()
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxHeaderListSize(maxHeaderList), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTime), grpc.InTapHandle(limitTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime, Time: silentTime, Timeout: answerTime}),
		grpc.NumStreamWorkers(streamWorkers), grpc.ForceServerCodecV2(newCodec()),
		// Fixed, so that what a connection may send before it is read is bounded, and
		// nothing is spent on finding out how much that could be.
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
	}
	creds, peers := insecure.NewCredentials(), newPeers(log)
	if tls != nil {
		creds = credentials.NewTLS(tls)
	}
	opts = append(opts, grpc.Creds(proving{creds, peers}))
	s := &Server{state: state, address: cfg.Address, grpc: grpc.NewServer(opts...), health: health.NewServer(), log: log, peers: peers}
	s.listener = peerListener{l, peers}
	s.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	s.grpc.RegisterService(&service, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	return s, nil
}

// addr returns where the server listens.
func (s *Server) addr() net.Addr {
	if path, isUnix := strings.CutPrefix(s.address, unixPrefix); isUnix {
		return &net.UnixAddr{Name: path, Net: "unix"} // the listener knows the name that it was made by
	}
	return s.listener.Addr()
}

// Ready says that the state is complete, also to who asks for the server's health.
func (s *Server) Ready() {
	s.state.Ready()
	s.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
}

// Serve answers until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		s.health.Shutdown()
		stop := time.AfterFunc(stopTime, s.grpc.Stop)
		defer stop.Stop()
		s.grpc.GracefulStop()
	})()
	err := s.grpc.Serve(s.listener)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close ends a server that is not asked to Serve.
func (s *Server) Close() { s.grpc.Stop(); _ = s.listener.Close() }

// limitTime bounds how long a request may take to come: one that never ends would hold
// what it needs for ever. So does one that is meant not to end: health is asked for with
// Check; who is told that there is no Watch takes the server for healthy.
func limitTime(ctx context.Context, call *tap.Info) (context.Context, error) {
	if call.FullMethodName == grpc_health_v1.Health_Watch_FullMethodName {
		return nil, status.Error(codes.Unimplemented, "ask with Check")
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	_ = cancel // the stream's own context, which ends with it, ends this one
	return ctx, nil
}

// Counts returns what was answered so far.
func (s *Server) Counts() Counts {
	c := s.counters.counts()
	c.Connections, c.Displaced = s.peers.count()
	return c
}

// check answers one request.
func (s *Server) check(_ context.Context, q *CheckRequest) *CheckResponse {
	began := time.Now()
	res, err := s.state.Decide(q)
	trace := traceID(q)
	s.counters.answered(res.Verdict, err, time.Since(began))
	switch {
	case err != nil:
		s.log.Debug("a request was refused", "why", err, "trace", trace)
		return denied(&res, err, trace)
	case res.Verdict == policy.Allow:
		return allowed(&res, trace)
	}
	return denied(&res, nil, trace)
}

// unreadable notes a message that is no check request.
func (s *Server) unreadable(err error) {
	s.counters.unreadable.Add(1)
	s.log.Debug("a message is no check request", "why", err)
}
