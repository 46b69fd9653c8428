package stage

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// AuthzSocket is where the agent of a node answers proxies, as a path of the machine.
func AuthzSocket(n *cluster.Node) string {
	return fmt.Sprintf("/proc/%d/root/run/tierwall-authz/authz.sock", n.PID())
}

func listen(at netip.AddrPort) (net.Listener, error) { return net.Listen("tcp", at.String()) }

func listenPacket(at netip.AddrPort) (net.PacketConn, error) {
	return net.ListenPacket("udp", at.String())
}

// ServeRequests starts an HTTP server in a pod, behind a proxy at an address of it which asks the agent of its node
// about each request, as a sidecar does. The principal is whom clients are said to have proved to be; none if empty.
func ServeRequests(t testing.TB, p *Pod, port uint16, principal string) netip.AddrPort {
	t.Helper()
	at := netip.AddrPortFrom(p.Addr, port)
	behind, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front, err := p.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix:"+AuthzSocket(p.Node), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind.Addr().String()})
	forward.Transport = &http.Transport{DialContext: p.Dial}
	forward.ErrorLog = log.New(io.Discard, "", 0)
	app := &http.Server{ReadHeaderTimeout: lost, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s by %s", r.Header.Get(extauthz.HeaderPolicy), p.Name)
	})}
	proxy := &http.Server{ReadHeaderTimeout: lost, Handler: &asking{conn, forward, principal}}
	go func() { _ = app.Serve(behind) }()
	go func() { _ = proxy.Serve(front) }()
	t.Cleanup(func() {
		_ = proxy.Close()
		_ = app.Close()
		_ = conn.Close()
	})
	return at
}

// asking asks about each request before it forwards it.
type asking struct {
	conn      grpc.ClientConnInterface
	forward   http.Handler
	principal string
}

func (a *asking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer := func(addr string) extauthz.Peer {
		at, _ := netip.ParseAddrPort(addr)
		return extauthz.Peer{Address: at.Addr().Unmap().String(), Port: uint32(at.Port())}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	source := peer(r.RemoteAddr)
	source.Principal = a.principal
	answer, err := extauthz.Check(r.Context(), a.conn, &extauthz.CheckRequest{
		Source: source, Destination: peer(local.String()), HTTP: &extauthz.Request{Method: r.Method, Path: r.RequestURI},
	})
	if err != nil {
		http.Error(w, "nobody says whether this request may pass: "+err.Error(), http.StatusForbidden)
		return
	}
	for _, h := range answer.Headers {
		r.Header.Set(h[0], h[1])
	}
	if answer.Allowed {
		a.forward.ServeHTTP(w, r)
		return
	}
	w.WriteHeader(answer.Status)
	_, _ = fmt.Fprintf(w, "%s", r.Header.Get(extauthz.HeaderPolicy))
}

// Request makes an HTTP request on a connection of its own, and gives the status and what came with it. The path is sent as
// it is, whatever it holds.
func Request(ctx context.Context, from Place, method string, to netip.AddrPort, path string) (int, string, error) {
	conn, err := dial(from, "tcp", to)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = conn.Close() }()
	client := &http.Client{Timeout: lost, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+to.String(), nil)
	if err != nil {
		return 0, "", err
	}
	req.URL.Opaque = path
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}
