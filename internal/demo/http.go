package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// gate is what judges HTTP requests in a scenario: a server of ext_authz, as an
// agent has it, and proxies that stand before the servers of pods and ask it, as
// sidecars do.
type gate struct {
	state  *extauthz.State
	dir    string
	server *extauthz.Server
	conn   *grpc.ClientConn
	stop   context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	proxies map[netip.AddrPort]*http.Server
}

func newGate(state *extauthz.State) (*gate, error) {
	g := &gate{state: state, proxies: map[netip.AddrPort]*http.Server{}, ended: make(chan error, 1)}
	var err error
	if g.dir, err = os.MkdirTemp("", "tierwall-demo-"); err != nil {
		return nil, err
	}
	path := filepath.Join(g.dir, "authz.sock")
	g.server, err = extauthz.Listen(extauthz.Config{Address: "unix:" + path, Group: -1}, state, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(g.dir))
	}
	g.server.Ready()
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() { g.ended <- g.server.Serve(ctx) }()
	g.conn, err = grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *gate) close() error {
	var errs []error
	g.mu.Lock()
	for _, p := range g.proxies {
		errs = append(errs, p.Close())
	}
	g.mu.Unlock()
	if g.conn != nil {
		errs = append(errs, g.conn.Close())
	}
	g.stop()
	return errors.Join(append(errs, <-g.ended, os.RemoveAll(g.dir))...)
}

// guard makes sure that a proxy stands at an address and port of a host. What it
// lets through goes to a server of the host's own, behind its loopback.
func (g *gate) guard(host *lab.Host, at netip.AddrPort) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxies[at] != nil {
		return nil
	}
	behind, err := host.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app := &http.Server{ReadHeaderTimeout: openTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s by %s\n", r.Method, r.URL.Path, host.Name())
	})}
	front, err := host.Listen("tcp", at.String())
	if err != nil {
		return errors.Join(err, behind.Close())
	}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind.Addr().String()})
	forward.Transport = &http.Transport{DialContext: host.DialContext}
	forward.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy := &http.Server{ReadHeaderTimeout: openTimeout, Handler: &askingProxy{g.conn, forward}}
	proxy.RegisterOnShutdown(func() { _ = app.Close() })
	g.proxies[at] = proxy
	go func() { _ = app.Serve(behind) }()
	go func() { _ = proxy.Serve(front); _ = app.Close() }()
	return nil
}

// askingProxy asks about each request before it forwards it.
type askingProxy struct {
	conn    grpc.ClientConnInterface
	forward http.Handler
}

// ServeHTTP implements http.Handler. A request that cannot be asked about is denied.
func (p *askingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer := func(addr string) extauthz.Peer {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return extauthz.Peer{}
		}
		return extauthz.Peer{Address: at.Addr().Unmap().String(), Port: uint32(at.Port())}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	answer, err := extauthz.Check(r.Context(), p.conn, &extauthz.CheckRequest{
		Source: peer(r.RemoteAddr), Destination: peer(local.String()),
		HTTP: &extauthz.Request{Method: r.Method, Path: r.RequestURI, Traceparent: r.Header.Get("traceparent")},
	})
	if err != nil {
		http.Error(w, "nobody says whether this request may pass", http.StatusForbidden)
		return
	}
	if !answer.Allowed {
		for _, h := range answer.Headers {
			w.Header().Set(h[0], h[1])
		}
		w.WriteHeader(answer.Status)
		_, _ = io.WriteString(w, answer.Body)
		return
	}
	for _, h := range answer.Headers {
		r.Header.Set(h[0], h[1])
	}
	p.forward.ServeHTTP(w, r)
}

// request makes the HTTP request of a row and gives how it fared: Allow if it was
// served, Deny if the proxy said so, or if not even the connection came about.
func (st *stage) request(ctx context.Context, row *Row, timeout time.Duration) (kernel, detail string) {
	flow := st.packet(row)
	from := st.lab.Owner(flow.Src)
	if from == nil {
		return failed, "no host has the source"
	}
	timeout = timeoutOr(timeout, openTimeout)
	connection := row.flow
	connection.HTTP = nil
	if st.reference.Evaluate(connection).Verdict == policy.Deny { // silence is what we expect: do not wait for long
		timeout = cutTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := from.DialFrom(ctx, "tcp", netip.AddrPortFrom(flow.Src, flow.SrcPort), netip.AddrPortFrom(flow.Dst, flow.DstPort))
	if err != nil {
		return "Deny", "no connection: " + err.Error()
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	req, err := http.NewRequestWithContext(ctx, row.connection.HTTP.Method, "http://"+netip.AddrPortFrom(flow.Dst, flow.DstPort).String(), nil)
	if err != nil {
		return failed, err.Error()
	}
	req.URL.Opaque = row.connection.HTTP.Path // as it is, whatever it holds
	res, err := client.Do(req)
	if err != nil {
		return failed, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
		return "Allow", "answered"
	case http.StatusForbidden:
		return "Deny", "403 by " + res.Header.Get(extauthz.HeaderPolicy)
	}
	return failed, res.Status
}
