package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/dataplane"
)

var discard = slog.New(slog.DiscardHandler)

// TestRefusesToBegin: every case ends with an error before the kernel is touched.
func TestRefusesToBegin(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	bad := filepath.Join(dir, "bad")
	empty := filepath.Join(dir, "empty")
	for _, d := range []string{good, bad, empty} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(good, "c.yaml"): agenttest.Cluster, filepath.Join(bad, "c.yaml"): "kind: [\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tc := range []struct{ store, addr, want string }{
		{empty, "", "holds no manifests; nothing was changed"},
		{bad, "", "no object in it is valid; nothing was changed"},
		{good, "0.0.0.0:9098", "not a loopback address"},
		{good, ":9098", "not a loopback address"},
		{good, "example.com:9098", "not a loopback address"},
		{good, "127.0.0.1", "expected ADDRESS:PORT"},
		{good, taken.Addr().String(), "address already in use"},
	} {
		t.Run(tc.store+" "+tc.addr, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			err := Run(ctx, Config{
				Source: fileStore(t, tc.store), Node: "here", MetricsAddr: tc.addr, RunDir: t.TempDir(), Log: discard, hostSocket: testSocket(t),
				Open: func() (dataplane.Dataplane, error) {
					t.Error("the kernel was opened")
					return (&faults{}).open()
				},
			})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// testSocket returns a name by which the agents of a test know of one another, and of no others.
func testSocket(t *testing.T) string {
	return fmt.Sprintf("@tierwall-test-%d-%s", os.Getpid(), t.Name())
}

// TestOneAgentPerHost: a second agent is refused, whatever directory it is given, and the first one named.
func TestOneAgentPerHost(t *testing.T) {
	first := Config{RunDir: t.TempDir(), Log: discard, hostSocket: testSocket(t)}
	elsewhere, older := first, first
	elsewhere.RunDir = t.TempDir()
	older.hostSocket += "-other" // one of a version that knows the file only
	_, unlock, err := lock(&first)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another agent runs on this host (pid %d): end it first", os.Getpid())
	for what, cfg := range map[string]Config{"of the same directory": first, "of another directory": elsewhere, "of an older version": older} {
		for range 20 { // more than may wait
			if _, _, err := lock(&cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("a second one %s: %v, want %q", what, err, want)
			}
		}
		cfg.Open = (&faults{}).open
		if err := Remove(context.Background(), cfg); err == nil {
			t.Error("remove went on beside a running agent")
		}
	}
	unlock()
	for range 10 {
		_, unlock, err = lock(&elsewhere)
		if err != nil {
			t.Fatalf("after the first one ended: %v", err)
		}
		unlock()
	}
}

// TestRemoveRunFiles: of an agent's files nothing is left, nor the directory if it holds nothing else.
func TestRemoveRunFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"agent-7.lock", "last-valid-7.json", "last-valid-7.json.new", "learned-7.txt", "learned-7.txt.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeRunFiles(dir, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("something is left after removal: %v", err)
	}
}
