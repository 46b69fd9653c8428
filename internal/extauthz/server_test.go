package extauthz

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// testState is a shop: its frontend may GET /items, and nobody anything else.
func testState() *State {
	pod := func(name, addr string) *policy.Endpoint {
		return &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: name}, Node: "n1", Profiles: []string{"kns.shop"},
			Addrs:  []netip.Addr{netip.MustParseAddr(addr)},
			Labels: selector.NewLabels(map[string]string{"app": name, "projectcalico.org/serviceaccount": name}),
		}
	}
	tcp := policy.TCP
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "api"}, Tier: "default", Order: 1,
		Selector: selector.MustParse("app == 'api'"), Types: [2]bool{policy.Ingress: true},
	}
	p.Rules[policy.Ingress] = []policy.Rule{{
		Action: policy.Allow, Protocol: &tcp, HTTP: &policy.HTTPMatch{Methods: []string{"GET"}, Paths: []policy.HTTPPath{{Prefix: "/items"}}},
		Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse("app == 'frontend'")}},
	}}
	s := NewState("n1")
	m := &policy.Model{Tiers: policy.FixedTiers(), Policies: []*policy.Policy{p},
		Endpoints: []*policy.Endpoint{pod("api", "10.0.0.1"), pod("frontend", "10.0.0.2"), pod("other", "10.0.0.3"), pod("open", "10.0.0.4")}}
	s.Apply(modeltest.Changes(nil, m))
	return s
}

// TestPolicyText: who decided, as it stands in a header.
func TestPolicyText(t *testing.T) {
	for _, tt := range []struct {
		by   *policy.Decider
		want string
	}{
		{nil, "no policy"},
		{&policy.Decider{Kind: policy.KindProfile, Name: "services", Rule: 2}, "Profile services rule 2"},
		{&policy.Decider{Kind: policy.KindProfile, Name: "kns.shop"}, "Profile kns.shop"},
		{&policy.Decider{Kind: policy.KindProfile, Name: "none", Rule: policy.EndOfTier}, "Profile none"},
		{&policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}, "Profile"},
	} {
		if got := policyText(tt.by); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.by, got, tt.want)
		}
	}
}

// served starts a server at a socket, and gives a client of it.
func served(t testing.TB, state *State) (*Server, *grpc.ClientConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authz.sock")
	s, err := Listen(Config{Address: "unix:" + path, Group: -1}, state, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return s, conn
}

func run(t testing.TB, s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// request is what Envoy asks of a request from one address to another.
func request(from, to, method, path string) *authv3.CheckRequest {
	r := ask(policy.Flow{
		Src: netip.MustParseAddr(from), Dst: netip.MustParseAddr(to), SrcPort: 40000, DstPort: 8080, Protocol: policy.TCP,
		HTTP: &policy.HTTPRequest{Method: method, Path: path},
	})
	r.Attributes.Request.Http.Headers = map[string]string{"traceparent": parent, ":authority": "api"}
	return r
}

func headersIn(r *authv3.CheckResponse) map[string]string {
	list := r.GetOkResponse().GetHeaders()
	if d := r.GetDeniedResponse(); d != nil {
		list = d.GetHeaders()
	}
	out := map[string]string{}
	for _, h := range list {
		out[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			out[h.GetHeader().GetKey()] += " (the client's own would stay)"
		}
	}
	return out
}

func TestCheck(t *testing.T) {
	state := testState()
	server, conn := served(t, state)
	client := authv3.NewAuthorizationClient(conn)
	with := func(r *authv3.CheckRequest, change func(*authv3.AttributeContext)) *authv3.CheckRequest {
		change(r.Attributes)
		return r
	}
	get := func() *authv3.CheckRequest { return request("10.0.0.2", "10.0.0.1", "GET", "/items/4?x=y") }
	principal := func(p string) *authv3.CheckRequest {
		return with(get(), func(a *authv3.AttributeContext) { a.Source.Principal = p })
	}
	const endOfTier = "NetworkPolicy shop/api end of tier default"
	if r, err := client.Check(t.Context(), get()); err != nil || r.GetDeniedResponse().GetStatus().GetCode() != 503 ||
		headersIn(r)[HeaderPolicy] != "the agent does not know the policy yet" {
		t.Errorf("before the state is complete: %v, %v", r, err)
	}
	server.Ready()
	for _, tt := range []struct {
		name string
		req  *authv3.CheckRequest
		ok   bool
		by   string
	}{
		{"what the rule allows", get(), true, "NetworkPolicy shop/api rule 0"},
		{"another method", request("10.0.0.2", "10.0.0.1", "POST", "/items"), false, endOfTier},
		{"another path", request("10.0.0.2", "10.0.0.1", "GET", "/itemsx"), false, endOfTier},
		{"out of the path", request("10.0.0.2", "10.0.0.1", "GET", "/items/../admin"), false, endOfTier},
		{"an encoded slash", request("10.0.0.2", "10.0.0.1", "GET", "/items%2f..%2fadmin"), false, endOfTier},
		{"another source", request("10.0.0.3", "10.0.0.1", "GET", "/items"), false, endOfTier},
		{"the world", request("203.0.113.1", "10.0.0.1", "GET", "/items"), false, endOfTier},
		{"an IPv4 address as IPv6", request("::ffff:10.0.0.2", "::ffff:10.0.0.1", "GET", "/items"), true, "NetworkPolicy shop/api rule 0"},
		{"where nothing governs", request("10.0.0.3", "10.0.0.4", "POST", "/a/../b"), true, "no policy"},
		{"no request, but a connection", with(get(), func(a *authv3.AttributeContext) { a.Request = nil }), true, "NetworkPolicy shop/api rule 0"},
		{"the right service account", principal("spiffe://cluster.local/ns/shop/sa/frontend"), true, "NetworkPolicy shop/api rule 0"},
		{"another service account", principal("spiffe://cluster.local/ns/shop/sa/other"), false, errIdentity.Error()},
		{"of another namespace", principal("spiffe://cluster.local/ns/other/sa/frontend"), false, errIdentity.Error()},
		{"a principal of another kind", principal("CN=frontend"), true, "NetworkPolicy shop/api rule 0"},
		{"an unknown destination", request("10.0.0.2", "10.0.0.99", "GET", "/items"), false, errUnknown.Error()},
		{"a malformed path", request("10.0.0.2", "10.0.0.1", "GET", "items"), false, "the path is malformed: it does not begin with '/'"},
		{"no method", request("10.0.0.2", "10.0.0.1", "", "/items"), false, "the request has no method"},
		{"two families", request("fd00::2", "10.0.0.1", "GET", "/items"), false, "source and destination are of two address families"},
		{"nothing at all", &authv3.CheckRequest{}, false, "the source has no IP address"},
		{"a pipe", with(get(), func(a *authv3.AttributeContext) {
			a.Destination.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}
		}), false, "the destination has no IP address"},
		{"no address", with(get(), func(a *authv3.AttributeContext) { a.Source.Address.GetSocketAddress().Address = "fe80::1%eth0" }), false, "the source has no IP address"},
		{"no port", with(get(), func(a *authv3.AttributeContext) {
			a.Source.Address.GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: 70000}
		}), false, "the source has no valid port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := client.Check(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			verdict, code := "deny", codes.PermissionDenied
			if tt.ok {
				verdict, code = "allow", codes.OK
			}
			if (r.GetOkResponse() != nil) != tt.ok || codes.Code(r.GetStatus().GetCode()) != code { //nolint:gosec // it was one
				t.Fatalf("got %v", r)
			}
			if d := r.GetDeniedResponse(); d != nil && d.GetStatus().GetCode() != 403 {
				t.Errorf("denied with %v", d.GetStatus())
			}
			h := headersIn(r)
			if h[HeaderVerdict] != verdict || h[HeaderPolicy] != tt.by {
				t.Errorf("got %q", h)
			}
			if id := h[HeaderTraceID]; len(id) != 32 || tt.req.GetAttributes().GetRequest() != nil && id != parent[3:35] {
				t.Errorf("trace id %q", id)
			}
		})
	}
	c := server.Counts()
	by := map[string]uint64{"not-ready": 1, "identity": 2, "unknown-destination": 1, "malformed": 7}
	if c.Allowed != 6 || c.Allowed+c.Denied+c.Refused != 23 || c.Took.Count != 23 || c.Took.Sum <= 0 || c.Connections != 1 || c.Unreadable != 0 {
		t.Errorf("counts %+v", c)
	}
	if d := cmp.Diff(by, c.RefusedBy); d != "" {
		t.Errorf("refused (-want +got):\n%s", d)
	}
	raw := mem.SliceBuffer("\x0a\x05no")
	if err := conn.Invoke(t.Context(), "/"+serviceName+"/"+checkMethod, raw, &raw, grpc.ForceCodecV2(asIs{})); status.Code(err) != codes.Internal {
		t.Errorf("a message that is no check request: %v", err)
	}
	if n := server.Counts().Unreadable; n != 1 {
		t.Errorf("%d unreadable messages, want 1", n)
	}
}

// asIs is a codec of messages that are bytes already.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) (mem.BufferSlice, error) { return mem.BufferSlice{v.(mem.SliceBuffer)}, nil }

func (asIs) Unmarshal(mem.BufferSlice, any) error { return nil }

// TestChangeIsInForceAtOnce checks that a request is judged by the policy there is.
func TestChangeIsInForceAtOnce(t *testing.T) {
	state := testState()
	server, conn := served(t, state)
	server.Ready()
	client := authv3.NewAuthorizationClient(conn)
	ok := func() bool {
		r, err := client.Check(t.Context(), request("10.0.0.2", "10.0.0.1", "GET", "/items"))
		if err != nil {
			t.Fatal(err)
		}
		return r.GetOkResponse() != nil
	}
	if !ok() {
		t.Fatal("denied")
	}
	state.Apply([]policy.Change{{Key: policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "frontend"}}})
	if ok() {
		t.Error("allowed, though the source is no frontend any more")
	}
}

func TestTraceID(t *testing.T) {
	for _, tt := range []struct {
		parent string
		same   bool
	}{
		{parent, true},
		{"01" + parent[2:] + "-more", true},
		{parent + "-more", false},
		{"ff" + parent[2:], false},
		{strings.ToUpper(parent), false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		{"x", false}, {"", false},
	} {
		id, ok := parentTraceID(tt.parent)
		if ok != tt.same || ok && id != parent[3:35] {
			t.Errorf("%q: %q, %v", tt.parent, id, ok)
		}
	}
	r := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
		HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "traceparent", RawValue: []byte(parent)}}},
	}}}}
	if id := traceID(asked(t, r)); id != parent[3:35] {
		t.Errorf("of raw headers: %q", id)
	}
	if a, b := traceID(&CheckRequest{}), traceID(&CheckRequest{HTTP: &Request{}}); a == b || len(a) != 32 {
		t.Errorf("new ones: %q, %q", a, b)
	}
}

func TestLimits(t *testing.T) {
	server, conn := served(t, testState())
	health := grpc_health_v1.NewHealthClient(conn)
	is := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if r, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || r.GetStatus() != want {
			t.Errorf("health is %v, %v, want %v", r, err, want)
		}
	}
	is(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	server.Ready()
	is(grpc_health_v1.HealthCheckResponse_SERVING)
	big := request("10.0.0.2", "10.0.0.1", "GET", "/items")
	big.Attributes.Request.Http.Body = strings.Repeat("x", maxMessage)
	if _, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), big); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of %d bytes: %v", maxMessage, err)
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "authz.sock")
	cfg := Config{Address: "unix:" + path, Group: os.Getgid()}
	for range 2 { // the next agent takes over
		s, err := Listen(cfg, NewState("n"), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for address, want := range map[string]string{
		"unix:" + file: "something else is there", "unix:" + dir + "/no/authz.sock": "/no does not exist: create it",
		taken.Addr().String(): "--ext-authz " + taken.Addr().String() + ": cannot listen there: bind: address already in use",
	} {
		if _, err := Listen(Config{Address: address, Group: -1}, NewState("n"), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

func TestConfig(t *testing.T) {
	tls := Config{CertFile: "c", KeyFile: "k", ClientCA: "a", Group: -1}
	with := func(c Config, address string) Config { c.Address = address; return c }
	none := Config{Group: -1}
	for _, tt := range []struct {
		cfg  Config
		want string // "" is right
	}{
		{with(none, "unix:/run/tierwall/authz.sock"), ""},
		{with(none, "127.0.0.1:9098"), ""},
		{with(none, "[::1]:9098"), ""},
		{with(tls, "10.0.0.1:9098"), ""},
		{with(none, "unix:authz.sock"), "begins with '/'"},
		{with(none, "unix:/"+strings.Repeat("a", 103)), "at most 103 bytes, this one 104"},
		{with(none, "localhost:9098"), "an IP address and a port"},
		{with(none, "/run/authz.sock"), "an IP address and a port"},
		{with(none, "0.0.0.0:9098"), "needs --ext-authz-cert"},
		{with(Config{CertFile: "c", Group: -1}, "127.0.0.1:1"), "belong together"},
		{with(tls, "unix:/a"), "a socket has no TLS"},
		{with(Config{Group: 5}, "127.0.0.1:1"), "only a unix socket has a group"},
	} {
		err := tt.cfg.Check()
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.cfg, err, tt.want)
		}
	}
}
