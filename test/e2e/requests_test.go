package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/stage"
)

const requestPolicy = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: requests}
spec:
  selector: app == 'api'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'reader'}
    destination: {ports: [8080]}
    http: {methods: [GET, HEAD], paths: [{prefix: /items}, {exact: /health}]}
  - action: Allow
    protocol: TCP
    source: {serviceAccounts: {names: [writer]}}
    destination: {ports: [8080]}
    http: {methods: [%s]}
`

// request is a request and what must come of it.
type request struct {
	from   *stage.Pod
	method string
	path   string
	want   int
	by     string // what decided, as the header says it
}

// testRequests has a proxy stand before an HTTP server in a pod, and ask the agent of its node about each request.
func testRequests(t *testing.T, w *world) {
	s := stage.NewQuickSpace(t, w.c, nil)
	s.Apply(fmt.Sprintf(requestPolicy, "POST, DELETE"))
	s.Apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: writer}}")
	for name, spec := range map[string]stage.PodSpec{
		"api":      {Node: 2, Labels: map[string]string{"app": "api"}},
		"reader":   {Node: 1, Labels: map[string]string{"app": "reader"}},
		"writer":   {Node: 2, ServiceAccount: "writer"},
		"stranger": {Node: 2},
	} {
		spec.Name = name
		s.CreatePod(spec)
	}
	api, reader, writer, stranger := s.WaitPod("api"), s.WaitPod("reader"), s.WaitPod("writer"), s.WaitPod("stranger")
	at := stage.ServeRequests(t, api, 8080, "")

	t.Run("socket", func(t *testing.T) {
		info, err := os.Stat(stage.AuthzSocket(api.Node))
		must(t, err)
		if of := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o660 || of.Uid != 0 || of.Gid != 1337 {
			t.Errorf("the socket has mode %v and belongs to %d:%d, expected -rw-rw---- and 0:1337", info.Mode(), of.Uid, of.Gid)
		}
	})
	rule := func(n int) string { return fmt.Sprintf("NetworkPolicy %s/requests rule %d", s.Name, n) }
	const denied = http.StatusForbidden
	eventually(t, "the first request", func() error { return served(t, request{reader, "GET", "/items", 200, rule(0)}, at) })
	all(t, at, []request{
		{reader, "GET", "/items/4?full=1", 200, rule(0)},
		{reader, "HEAD", "/health", 200, ""},
		{reader, "POST", "/items", denied, "end of tier"},
		{reader, "GET", "/itemsx", denied, "end of tier"},
		{reader, "GET", "/items/../admin", denied, "end of tier"},
		{reader, "GET", "/items/..%2fadmin", denied, "end of tier"},
		{writer, "POST", "/items", 200, rule(1)},
		{writer, "DELETE", "/anything", 200, rule(1)},
		{writer, "GET", "/items", denied, "end of tier"},
	})
	// The kernel lets in nobody who may ask for nothing.
	if err := stage.Knock(stranger, at); err != nil {
		t.Errorf("a connection that no rule allows anything in: %v", err)
	}
	t.Run("a change", func(t *testing.T) {
		s.Apply(fmt.Sprintf(requestPolicy, "POST, GET"))
		eventually(t, "the change", func() error { return served(t, request{writer, "GET", "/admin", 200, rule(1)}, at) })
		all(t, at, []request{{writer, "DELETE", "/anything", denied, "end of tier"}, {reader, "GET", "/items", 200, rule(0)}})
	})
	t.Run("identity", func(t *testing.T) {
		// A mesh says who the client has proved to be: another than the pod that has its address is nobody.
		proved := stage.ServeRequests(t, api, 8081, "spiffe://cluster.local/ns/"+s.Name+"/sa/writer")
		s.Apply(strings.ReplaceAll(fmt.Sprintf(requestPolicy, "POST, GET"), "[8080]", "[8080, 8081]"))
		eventually(t, "the other port", func() error { return served(t, request{writer, "POST", "/items", 200, rule(1)}, proved) })
		all(t, proved, []request{{reader, "GET", "/items", denied, ""}})
	})
	t.Run("agent killed", func(t *testing.T) {
		stage.KillAgent(t, api.Node)
		eventually(t, "the next agent", func() error { return served(t, request{reader, "GET", "/items", 200, rule(0)}, at) })
		all(t, at, []request{{reader, "POST", "/items", denied, "end of tier"}})
		stage.AwaitAgents(t, w.c)
	})
}

func all(t *testing.T, at netip.AddrPort, requests []request) {
	t.Helper()
	for _, r := range requests {
		if err := served(t, r, at); err != nil {
			t.Error(err)
		}
	}
}

// served makes a request, and has an error if not what was expected comes of it.
func served(t *testing.T, r request, at netip.AddrPort) error {
	status, text, err := stage.Request(t.Context(), r.from, r.method, at, r.path)
	if err != nil {
		return err
	}
	if status != r.want || !strings.Contains(text, r.by) {
		return fmt.Errorf("%s %s by %s: %d %q, expected %d by %q", r.method, r.path, r.from.Name, status, text, r.want, r.by)
	}
	return nil
}
