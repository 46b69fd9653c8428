package cni

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// testServer is a server with a socket of its own.
type testServer struct {
	*Server
	socket string
	dir    wire.Dir
	stop   func()
}

func startServer(t *testing.T, socket string, enforcer Enforcer, change ...func(*Server)) *testServer {
	t.Helper()
	s, err := Listen(ServerConfig{Socket: socket, Enforcer: enforcer, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.pods.linkExists = func(int) (bool, error) { return true, nil }
	for _, c := range change {
		c(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &testServer{s, socket, wire.RecordsDir(socket), stop}
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func testSocket(t *testing.T) string { return filepath.Join(t.TempDir(), "cni.sock") }

func testPod(container, name string, addrs ...string) Pod {
	p := Pod{
		PodID:   PodID{Namespace: "web", Name: name, UID: "uid-" + name, Attachment: wire.Attachment{Container: container, Interface: "eth0"}},
		Network: "k8s",
	}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, netip.MustParseAddr(a))
	}
	return p
}

// ask asks as a plugin does, with half a minute of time.
func (s *testServer) ask(t *testing.T, q wire.Request) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return wire.Ask(ctx, s.socket, q)
}

func (s *testServer) add(t *testing.T, p Pod) error {
	t.Helper()
	return s.ask(t, wire.Request{Op: wire.Add, Pod: &p})
}

func (s *testServer) records() []string {
	got := []string{}
	for _, r := range s.Records() {
		got = append(got, r.String()+" "+r.Container)
	}
	return got
}

// want holds what the enforcer, the server and the files know against one list.
func (s *testServer) want(t *testing.T, k *tables, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	slices.Sort(want)
	files := []string{}
	records, problems, err := s.dir.Read()
	if err != nil || problems != nil {
		t.Fatal(err, problems)
	}
	for _, r := range records {
		files = append(files, r.String()+" "+r.Container)
	}
	slices.Sort(files)
	got := s.records()
	slices.Sort(got)
	for _, held := range []struct {
		by   string
		what []string
	}{{"enforcer", k.holds()}, {"server", got}, {"files", files}} {
		if diff := cmp.Diff(want, held.what); diff != "" {
			t.Errorf("%s: -want +got:\n%s", held.by, diff)
		}
	}
	k.check(t)
}
