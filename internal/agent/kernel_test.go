package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

func newHost(t *testing.T) *host {
	lab.Require(t)
	l, err := lab.New(lab.Config{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &host{t: t, lab: l, dir: t.TempDir(), run: t.TempDir()}
	h.connect()
	for name, addr := range map[string]string{"web": "10.0.0.2", "db": "10.0.0.1"} {
		pod, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		if name == "web" {
			h.web = pod
		} else {
			h.db = pod
		}
	}
	h.write("cluster.yaml", agenttest.Cluster)
	h.write("policy.yaml", agenttest.AllowPort("5432"))
	return h
}

// connect makes a client for what an agent on the node serves.
func (h *host) connect() {
	h.client = &http.Client{Transport: &http.Transport{DialContext: h.lab.Node().DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	tmp := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
}

// process is a child in the node's network namespace.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr syncBuffer
	done   chan struct{} // closed when it has ended
}

func (h *host) start(role string) *process {
	h.t.Helper()
	p := &process{cmd: exec.Command("/proc/self/exe"), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, "STORE=files:"+h.dir, "RUN_DIR="+h.run)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: 0}
	if err := h.lab.Node().Do(p.cmd.Start); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if h.t.Failed() {
			h.t.Logf("%s:\n%s", role, p.stderr.String())
		}
	})
	return p
}

// wait returns the exit code.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
		return -1
	}
}

func (h *host) startAgent() *process {
	h.t.Helper()
	p := h.start("agent")
	h.eventually("the agent is ready", func() bool {
		resp, err := h.client.Get("http://127.0.0.1:9098/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

func (h *host) status() Status {
	h.t.Helper()
	var st Status
	h.get("/status", &st)
	return st
}

// get decodes what the agent answers at a path.
func (h *host) get(path string, into any) {
	h.t.Helper()
	resp, err := h.client.Get("http://127.0.0.1:9098" + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) eventually(what string, cond func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			h.t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (h *host) tcp(port uint16) policy.Flow {
	return policy.Flow{Src: h.web.Addr4(), Dst: h.db.Addr4(), Protocol: policy.TCP, DstPort: port}
}

func (h *host) probe(port uint16) lab.Verdict {
	return h.lab.Probe(context.Background(), h.tcp(port), 0).Verdict
}

// TestAgentsComeAndGoUnderTraffic: agents are killed, ended and started while
// packets that policy denies and connections that it allows keep coming. None
// of the former may get through, none of the latter may suffer.
func TestAgentsComeAndGoUnderTraffic(t *testing.T) {
	h := newHost(t)
	agent := h.startAgent()
	if got := h.probe(5432); got != lab.Allowed {
		t.Fatalf("the open port: %s", got)
	}
	old, err := h.lab.Open(context.Background(), h.tcp(5432), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	traffic := h.traffic(old)
	for _, end := range []func(*process){
		func(p *process) { _ = p.cmd.Process.Kill() },
		func(p *process) { _ = p.cmd.Process.Signal(syscall.SIGTERM) },
		func(p *process) { _ = p.cmd.Process.Kill() },
	} {
		end(agent)
		agent.wait(t)
		before := traffic.tries.Load()
		h.eventually("traffic without an agent", func() bool { return traffic.tries.Load() > before+20 })
		agent = h.startAgent()
	}
	traffic.stop()
	if n := traffic.leaked.Load(); n > 0 {
		t.Errorf("%d denied packets got through", n)
	}
	if n := traffic.lost.Load(); n > 0 {
		t.Errorf("%d allowed exchanges failed", n)
	}
	t.Logf("%d denied packets, %d allowed exchanges, of which TCP repeated its first packet in %d",
		traffic.sent.Load(), traffic.tries.Load(), traffic.repeated.Load())
}

// traffic is packets that must not arrive and exchanges that must succeed.
type traffic struct {
	sent, leaked, tries, lost, repeated atomic.Int64
	stop                                func()
}

func (h *host) traffic(live *lab.Conn) *traffic {
	h.t.Helper()
	server, err := h.db.ListenPacket("udp", "10.0.0.1:9999")
	if err != nil {
		h.t.Fatal(err)
	}
	client, err := h.web.DialContext(context.Background(), "udp", "10.0.0.1:9999")
	if err != nil {
		h.t.Fatal(err)
	}
	tr, done := &traffic{}, make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f()
				}
			}
		})
	}
	wg.Go(func() {
		b := make([]byte, 16)
		for {
			if _, _, err := server.ReadFrom(b); err != nil {
				return // closed
			}
			tr.leaked.Add(1)
		}
	})
	loop(func() {
		if _, err := client.Write([]byte("x")); err == nil {
			tr.sent.Add(1)
		}
		time.Sleep(200 * time.Microsecond)
	})
	loop(func() {
		out := h.lab.Probe(context.Background(), h.tcp(5432), 5*time.Second)
		if out.Verdict != lab.Allowed {
			tr.lost.Add(1)
		} else if out.Took > 900*time.Millisecond { // TCP sends again after 1 s
			tr.repeated.Add(1)
		}
		tr.tries.Add(1)
	})
	loop(func() {
		if live.Exchange(5*time.Second) != nil {
			tr.lost.Add(1)
		}
		tr.tries.Add(1)
		time.Sleep(time.Millisecond)
	})
	tr.stop = sync.OnceFunc(func() {
		close(done)
		_, _ = client.Close(), server.Close()
		wg.Wait()
	})
	h.t.Cleanup(tr.stop)
	return tr
}

func TestAgentEndToEnd(t *testing.T) {
	h := newHost(t)
	agent := h.startAgent()

	second := h.start("agent")
	if code := second.wait(t); code != 2 || !bytes.Contains([]byte(second.stderr.String()), []byte("another agent")) {
		t.Errorf("a second agent: exit %d, %s", code, second.stderr.String())
	}
	if e := h.status().Endpoints; len(e) != 1 || e[0].Interface != h.db.Interface() {
		t.Errorf("where the endpoint is: %+v, want interface %s", e, h.db.Interface())
	}
	v := h.start("verify")
	if code := v.wait(t); code != 0 || !bytes.Contains(v.stdout.Bytes(), []byte(`"differences":0`)) {
		t.Errorf("verify: exit %d, %s %s", code, v.stdout.String(), v.stderr.String())
	}

	if m := h.start("meddle"); m.wait(t) != 0 {
		t.Fatalf("the table cannot be taken away: %s", m.stderr.String())
	}
	h.eventually("the table that was deleted by hand is back", func() bool { return h.probe(22) == lab.Denied })
	h.eventually("the repair is reported", func() bool { return h.status().DriftRepairs >= 1 })

	// A change cuts the connection that it denies.
	live, err := h.lab.Open(context.Background(), h.tcp(5432), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.Close() }()
	h.write("policy.yaml", agenttest.AllowPort("3306"))
	h.eventually("the new port is open", func() bool { return h.probe(3306) == lab.Allowed })
	h.eventually("the connection that the change denies ends", func() bool { return live.Exchange(time.Second) != nil })
	if got := h.probe(5432); got != lab.Denied {
		t.Errorf("the old port: %s", got)
	}

	// Verify compares with the store, not with what some agent thinks.
	_ = agent.cmd.Process.Signal(syscall.SIGTERM)
	if code := agent.wait(t); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
	if got := h.probe(5432); got != lab.Denied {
		t.Errorf("after the agent: %s", got)
	}
	h.write("policy.yaml", agenttest.AllowPort("5432"))
	v = h.start("verify")
	if code := v.wait(t); code != 0 || bytes.Contains(v.stdout.Bytes(), []byte(`"differences":0`)) {
		t.Errorf("verify does not see that the kernel is behind: exit %d, %s %s", code, v.stdout.String(), v.stderr.String())
	}

	if r := h.start("remove"); r.wait(t) != 0 {
		t.Errorf("remove: %s", r.stderr.String())
	}
	if got := h.probe(22); got != lab.Allowed {
		t.Errorf("after remove: %s", got)
	}
}
