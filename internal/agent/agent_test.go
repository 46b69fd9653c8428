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

// kernel is a dataplane in memory that can be made to fail and to drift.
type kernel struct {
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
	return &kernel{f.latest, f}, nil
}

func (k *kernel) Apply(ctx context.Context, d *dataplane.Delta) error {
	k.shared.mu.Lock()
	defer k.shared.mu.Unlock()
	if k.shared.fail > 0 {
		k.shared.fail--
		return errors.New("no buffer space available")
	}
	k.shared.steps = append(k.shared.steps, d)
	return k.Dataplane.Apply(ctx, d)
}

func (k *kernel) Check(context.Context) (dataplane.Drift, error) {
	k.shared.mu.Lock()
	defer k.shared.mu.Unlock()
	d := dataplane.Drift{Findings: k.shared.drift, Repaired: len(k.shared.drift) > 0}
	k.shared.drift = nil
	return d, nil
}

func (k *kernel) Counters(ctx context.Context) ([]dataplane.Counter, error) {
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

const clusterYAML = `
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: here, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: there, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2}
`

// allowPort is a policy that opens one port of db.
func allowPort(port string) string {
	return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [` + port + `]}}
`
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

func newRig(t *testing.T, files map[string]string, tweak func(*Config, *faults)) *rig {
	t.Helper()
	return newRigWith(t, files, tweak, nil)
}

// newRigWith starts an agent on a directory with the files.
func newRigWith(t *testing.T, files map[string]string, tweak func(*Config, *faults), prepare func(*agent)) *rig {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newRigIn(t, dir, tweak, prepare)
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
func newRigIn(t *testing.T, dir string, tweak func(*Config, *faults), prepare func(*agent)) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, k: &faults{}, logs: &syncBuffer{}}
	cfg := Config{
		Source: fileStore(t, r.dir), Node: "here", Open: r.k.open, CheckInterval: time.Hour, Version: "test",
		Log: slog.New(slog.NewTextHandler(r.logs, nil)), retryPause: time.Millisecond,
	}
	if tweak != nil {
		tweak(&cfg, r.k)
	}
	r.a = newAgent(cfg)
	if prepare != nil {
		prepare(r.a)
	}
	r.serve(httptest.NewServer(localOnly(r.a.handler())))
	return r
}

// serve runs the agent until the test ends, and answers for it.
func (r *rig) serve(server *httptest.Server) {
	r.t.Helper()
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
		r.a.closeDataplane()
		_ = r.a.journal.close()
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

func TestFollowsTheStore(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	if !r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the port that the policy opens is closed")
	}
	r.eventually("ready", func() bool { code, _ := r.get("/readyz"); return code == http.StatusOK })
	if o := r.object("NetworkPolicy", "db"); o.State != "in force" || o.LocalEndpoints == nil || *o.LocalEndpoints != 1 {
		t.Errorf("status of the policy: %+v", o)
	}

	r.write("policy.yaml", allowPort("3306"))
	r.eventually("the new port is open", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 3306) })
	if r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the old port is still open")
	}

	r.write("policy.yaml", allowPort(`"80:70"`))
	r.eventually("the invalid version is reported", func() bool {
		return r.object("NetworkPolicy", "db").State == "last valid version in force"
	})
	if o := r.object("NetworkPolicy", "db"); len(o.Findings) == 0 || !strings.Contains(o.Findings[0], "policy.yaml:") {
		t.Errorf("status does not say what is wrong where: %+v", o)
	}
	if !r.k.allows("10.0.0.2", "10.0.0.1", 3306) || r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the last valid version is not in force")
	}
	if _, m := r.get("/metrics"); !strings.Contains(m, `tierwall_resources{kind="NetworkPolicy",state="last valid version in force"} 1`) {
		t.Error("the metrics do not count the invalid object")
	}
	r.eventually("the log says so", func() bool { return strings.Contains(r.logs.String(), "80:70") })

	if err := os.Remove(filepath.Join(r.dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	r.eventually("nothing is denied without a policy", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 80) })
}

func TestRuleCounters(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	var m string
	r.eventually("counters are served", func() bool { _, m = r.get("/metrics"); return strings.Contains(m, "tierwall_rule_packets_total{") })
	for _, want := range []string{
		`tierwall_rule_packets_total{action="Allow",direction="ingress",kind="NetworkPolicy",name="db",namespace="shop",rule="0",tier="default"} 3`,
		`tierwall_rule_bytes_total{action="Deny",direction="ingress",kind="NetworkPolicy",name="db",namespace="shop",rule="end",tier="default"} 180`,
		`tierwall_resources{kind="Pod",state="in force"} 2`,
		`tierwall_local_endpoints 1`,
		`tierwall_ready 1`,
		`tierwall_connections_cut_total 0`,
		`tierwall_apply_total{result="ok"} 1`,
		`tierwall_apply_seconds_count 1`,
		`tierwall_build_info{node="here",version="test"} 1`,
	} {
		if !strings.Contains(m, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(m)
	}
}

func TestFailedStepIsTriedAgain(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")},
		func(_ *Config, k *faults) { k.fail = 3 })
	r.eventually("in force after failures", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	r.eventually("ready", func() bool { return r.status().Ready })

	r.k.mu.Lock()
	r.k.fail = 2
	r.k.mu.Unlock()
	r.write("policy.yaml", allowPort("3306"))
	r.eventually("the change after more failures", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 3306) })
	r.eventually("ready again", func() bool { return r.status().Ready })
	if _, m := r.get("/metrics"); !strings.Contains(m, `tierwall_apply_total{result="error"} 5`) {
		t.Error("the failures are not counted")
	}
}

func TestNotReadyWhileTheKernelIsBehind(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")},
		func(_ *Config, k *faults) { k.fail = 1 << 30 })
	r.eventually("the failure is told", func() bool {
		code, body := r.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "no buffer space")
	})
	if code, _ := r.get("/healthz"); code != http.StatusOK {
		t.Error("an agent that tries again is healthy")
	}
}

func TestDriftIsReported(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")},
		func(c *Config, k *faults) {
			c.CheckInterval, k.drift = 5*time.Millisecond, []string{"the table is gone"}
		})
	r.eventually("the drift is found", func() bool { return r.status().DriftRepairs == 1 })
	if st := r.status(); len(st.LastDrift) != 1 || st.LastDrift[0] != "the table is gone" || st.LastCheck == nil {
		t.Errorf("status says %v", st.LastDrift)
	}
	if _, m := r.get("/metrics"); !strings.Contains(m, "tierwall_drift_repairs_total 1") {
		t.Error("the repair is not counted")
	}
}

func TestOneBadFileDoesNotStopTheRest(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432"), "bad.yaml": "kind: [\n"}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	r.eventually("the bad file is reported", func() bool {
		f := r.status().Findings
		return len(f) == 1 && strings.Contains(f[0], "bad.yaml")
	})
	r.write("bad.yaml", "")
	r.eventually("and no longer", func() bool { return len(r.status().Findings) == 0 })
}

func TestAnswersAtLocalhostOnly(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": clusterYAML}, nil)
	for host, want := range map[string]int{
		"localhost:9098": http.StatusOK, "[::1]:1": http.StatusOK, "127.0.0.1": http.StatusOK,
		"evil.example:9098": http.StatusForbidden, "10.0.0.1": http.StatusForbidden,
	} {
		req, err := http.NewRequest(http.MethodGet, r.url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}
