package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// agent is the process that is measured.
type agent struct {
	cmd  *cluster.Cmd
	log  bytes.Buffer
	http http.Client
	pid  int
}

const metricsAddr = "127.0.0.1:9097"

// startAgent starts an agent and waits for its first state.
func startAgent(ctx context.Context, c *cluster.Cluster, binary, dir string) (*agent, error) {
	cp := c.ControlPlane()
	a := &agent{cmd: cp.Command(ctx, binary, "agent", "--store=kube", "--kubeconfig="+c.Kubeconfig(), "--node="+localNode,
		"--metrics-addr="+metricsAddr, "--run-dir="+filepath.Join(dir, "run"))}
	a.http.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return cp.Dial(ctx, network, address)
	}}
	a.cmd.Stderr = &a.log
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	a.pid = a.cmd.Process.Pid
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := a.get(ctx, "/readyz")
		return err == nil, nil
	})
	if err != nil {
		a.stop()
		return nil, fmt.Errorf("the agent does not become ready: %w\n%s", err, a.log.String())
	}
	fmt.Printf("first state in the kernel after %.1f s, with %.1f s of CPU; %s\n", time.Since(start).Seconds(), a.cpu().Seconds(), a.memory())
	return a, nil
}

func (a *agent) stop() {
	_ = a.cmd.Process.Signal(os.Interrupt)
	_ = a.cmd.Wait()
}

func (a *agent) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metricsAddr+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// delays reads the histogram of the time from a watch event to the kernel.
func (a *agent) delays(ctx context.Context) (*dto.Histogram, error) {
	body, err := a.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	f := families["tierwall_change_seconds"]
	if f == nil || len(f.Metric) == 0 {
		return nil, fmt.Errorf("no metric tierwall_change_seconds")
	}
	return f.Metric[0].Histogram, nil
}

// cpu is the processor time that the agent has used.
func (a *agent) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(after)
	var ticks int64
	for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second: proc(5)
		n, _ := strconv.ParseInt(f[i], 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory returns the resident memory, now and at its highest.
func (a *agent) memory() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.pid))
	if err != nil {
		return err.Error()
	}
	var now, peak, anon int
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
		_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &anon)
	}
	return fmt.Sprintf("RSS %d MB (of that anonymous %d MB), peak %d MB", now/1000, anon/1000, peak/1000)
}
