package extauthz

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/tierwall/tierwall/policy"
)

// What one client may take.
const (
	maxMessage     = 256 << 10 // a request: headers, and some body where the proxy sends it
	maxHeaderList  = 16 << 10
	maxStreams     = 1024
	maxConnections = 256
	handshakeTime  = 5 * time.Second
	idleTime       = 30 * time.Minute
	stopTime       = 5 * time.Second
)

// Server answers proxies.
type Server struct {
	state    *State
	listener net.Listener
	grpc     *grpc.Server
	health   *health.Server
	log      *slog.Logger

	allowed, denied, refused atomic.Uint64
}

// Counts are how many requests were answered in which way. Refused are those
// that were denied without policy being asked: see State.Decide.
type Counts struct{ Allowed, Denied, Refused uint64 }

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
		grpc.ConnectionTimeout(handshakeTime), grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime}),
		grpc.NumStreamWorkers(4), grpc.ForceServerCodecV2(newCodec()),
	}
	if tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(tls)))
	}
	s := &Server{
		state: state, listener: netutil.LimitListener(l, maxConnections), grpc: grpc.NewServer(opts...),
		health: health.NewServer(), log: log,
	}
	s.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	s.grpc.RegisterService(&service, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

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

// Counts gives what was answered so far.
func (s *Server) Counts() Counts {
	return Counts{s.allowed.Load(), s.denied.Load(), s.refused.Load()}
}

// check answers one request.
func (s *Server) check(_ context.Context, q *Question) *Answer {
	res, err := s.state.Decide(q)
	trace := traceID(q)
	switch {
	case err != nil:
		s.refused.Add(1)
		s.log.Debug("a request was refused", "why", err, "trace", trace)
	case res.Verdict == policy.Allow:
		s.allowed.Add(1)
		return allowed(&res, trace)
	default:
		s.denied.Add(1)
	}
	return denied(&res, err, trace)
}
