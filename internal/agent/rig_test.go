package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/memory"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/policy"
)

// testKernel is a dataplane in memory that can be made to fail and to drift.
type testKernel struct {
	*memory.Dataplane
	shared *faults
}

type faults struct {
	mu     sync.Mutex
	fail   int // steps that are to fail
	drift  []string
	opens  int
	steps  []*dataplane.Delta
	latest *memory.Dataplane
}

func (f *faults) open() (dataplane.Dataplane, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	f.latest = memory.New()
	return &testKernel{f.latest, f}, nil
}

func (k *testKernel) Apply(ctx context.Context, d *dataplane.Delta) error {
	k.shared.mu.Lock()
	defer k.shared.mu.Unlock()
	if k.shared.fail > 0 {
		k.shared.fail--
		return errors.New("no buffer space available")
	}
	k.shared.steps = append(k.shared.steps, d)
	return k.Dataplane.Apply(ctx, d)
}

func (k *testKernel) Check(context.Context) (dataplane.Drift, error) {
	k.shared.mu.Lock()
	defer k.shared.mu.Unlock()
	d := dataplane.Drift{Findings: k.shared.drift, Repaired: len(k.shared.drift) > 0}
	k.shared.drift = nil
	return d, nil
}

func (k *testKernel) Counters(ctx context.Context) ([]dataplane.Counter, error) {
	counters, err := k.Dataplane.Counters(ctx)
	for i := range counters {
		counters[i].Packets, counters[i].Bytes = 3, 180
	}
	return counters, err
}

// allows reports whether a TCP connection would get through.
func (f *faults) allows(src, dst string, port uint16) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest == nil {
		return true
	}
	return f.latest.State().Allows(policy.Flow{
		Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Protocol: policy.TCP, SrcPort: 50000, DstPort: port,
	})
}

// rig is an agent under test.
type rig struct {
	t    *testing.T
	dir  string
	k    *faults
	a    *agent
	url  string
	logs *syncBuffer
	stop func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newRig starts an agent on a directory with the files.
func newRig(t *testing.T, files map[string]string, tweak func(*Config, *faults)) *rig {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newRigIn(t, dir, tweak)
}

func fileStore(t testing.TB, dir string) store.Source {
	t.Helper()
	s, err := open.Source("files:"+dir, open.NewFlags())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newRigIn starts an agent on a directory.
func newRigIn(t *testing.T, dir string, tweak func(*Config, *faults)) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, k: &faults{}, logs: &syncBuffer{}}
	r.start(fileStore(t, r.dir), tweak)
	return r
}

// start runs an agent on a store until the test ends, and answers for it.
func (r *rig) start(source store.Source, tweak func(*Config, *faults)) {
	r.t.Helper()
	cfg := Config{
		Source: source, Node: "here", Open: r.k.open, CheckInterval: time.Hour, Version: "test", RunDir: r.t.TempDir(),
		Log: slog.New(slog.NewTextHandler(r.logs, nil)), retryPause: time.Millisecond,
	}
	if tweak != nil {
		tweak(&cfg, r.k)
	}
	var err error
	if r.a, err = newAgent(cfg, 1); err != nil {
		r.t.Fatal(err)
	}
	server := httptest.NewServer(localOnly(r.a.handler()))
	r.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.a.loop(ctx) }()
	r.stop = sync.OnceFunc(func() {
		server.Close()
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the loop ended with %v", err)
		}
		r.a.close()
		if r.t.Failed() {
			r.t.Logf("log:\n%s", r.logs)
		}
	})
	r.t.Cleanup(r.stop)
}

// write replaces a file by renaming, as a careful writer does.
func (r *rig) write(name, text string) {
	r.t.Helper()
	tmp := filepath.Join(r.t.TempDir(), name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// eventually polls until the condition holds.
func (r *rig) eventually(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (r *rig) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (r *rig) status() Status {
	r.t.Helper()
	_, body := r.get("/status")
	var st Status
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		r.t.Fatalf("%v in %s", err, body)
	}
	return st
}

func (r *rig) object(kind, name string) ObjectStatus {
	r.t.Helper()
	for _, o := range r.status().Objects {
		if o.Kind == kind && o.Name == name {
			return o
		}
	}
	return ObjectStatus{}
}
