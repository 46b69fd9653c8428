package extauthz

import (
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func (q *CheckRequest) path() string {
	if q.HTTP == nil {
		return ""
	}
	return q.HTTP.Path
}

// TestWire holds our own messages against Envoy's.
func TestWire(t *testing.T) {
	want := &CheckRequest{
		Source: Peer{Address: "fd00::1", Port: 40000, Principal: "spiffe://d/ns/a/sa/b"}, Destination: Peer{Address: "fd00::2", Port: 443, UDP: true},
		HTTP: &Request{Method: "GET", Path: "/a?b", Traceparent: parent},
	}
	theirs := &authv3.CheckRequest{}
	if err := proto.Unmarshal(want.marshal(), theirs); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, asked(t, theirs)); d != "" {
		t.Errorf("request (-ours +by Envoy's types):\n%s", d)
	}
	for _, want := range []*CheckResponse{
		{Allowed: true, Headers: headersOf("allow", "no policy", "1")},
		{Status: 403, Headers: headersOf("deny", "", "1"), Body: "no\n"},
	} {
		theirs := &authv3.CheckResponse{}
		if err := proto.Unmarshal(want.marshal(), theirs); err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		got := &CheckResponse{}
		if err := got.unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("answer (-ours +by Envoy's types):\n%s", d)
		}
	}
}

// FuzzCheck asks with whatever comes over the wire. There is always one answer,
// with its three headers, and what policy was not asked about is denied.
func FuzzCheck(f *testing.F) {
	for _, r := range []*authv3.CheckRequest{
		request("10.0.0.2", "10.0.0.1", "GET", "/items/4?x=y"), request("10.0.0.2", "10.0.0.1", "GET", "/items/%2e%2e/x"),
		request("fd00::1", "::ffff:10.0.0.1", "", "*"), {},
	} {
		raw, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, parent, "spiffe://d/ns/shop/sa/frontend")
	}
	state := testState()
	state.Ready()
	server := &Server{state: state, log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, raw []byte, traceparent, principal string) {
		if !utf8.ValidString(traceparent) || !utf8.ValidString(principal) {
			return // protobuf has no such strings
		}
		r, ours := &authv3.CheckRequest{}, &CheckRequest{}
		if proto.Unmarshal(raw, r) != nil {
			_ = ours.unmarshal(raw)
			_ = (&CheckResponse{}).unmarshal(raw)
			return
		}
		if err := ours.unmarshal(raw); err != nil {
			t.Fatalf("only we cannot read it: %v", err)
		}
		attrs := r.GetAttributes()
		for what, two := range map[string][2]string{
			"source":      {ours.Source.Address, attrs.GetSource().GetAddress().GetSocketAddress().GetAddress()},
			"destination": {ours.Destination.Address, attrs.GetDestination().GetAddress().GetSocketAddress().GetAddress()},
			"principal":   {ours.Source.Principal, attrs.GetSource().GetPrincipal()},
			"path":        {ours.path(), attrs.GetRequest().GetHttp().GetPath()},
		} {
			if two[0] != two[1] {
				t.Fatalf("%s: read as %q and %q", what, two[0], two[1])
			}
		}
		if s := r.GetAttributes().GetSource(); s != nil {
			s.Principal = principal
		}
		if h := r.GetAttributes().GetRequest().GetHttp(); h != nil {
			h.Headers = map[string]string{headerTraceparent: traceparent}
		}
		q := asked(t, r)
		res := &authv3.CheckResponse{}
		if err := proto.Unmarshal(server.check(t.Context(), q).marshal(), res); err != nil {
			t.Fatal(err)
		}
		if (res.GetOkResponse() == nil) == (res.GetDeniedResponse() == nil) {
			t.Fatalf("%v", res)
		}
		h := headersIn(res)
		if len(h) != 3 || len(h[HeaderTraceID]) != 32 || h[HeaderPolicy] == "" || strings.ContainsAny(h[HeaderPolicy], "\r\n") {
			t.Fatalf("headers %q", h)
		}
		if _, err := state.Decide(q); err != nil && res.GetOkResponse() != nil {
			t.Fatalf("allowed in spite of %v", err)
		}
	})
}
