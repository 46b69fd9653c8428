package agent

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/hostile"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// BenchmarkHostile is an agent of its own on a node of its own, which is given policies
// that are small for their effect: the time until they are in force, the process's
// memory and CPU, how long another program's nftables transaction waits meanwhile, and
// the time until one small change more is in force. HOSTILE_FACTOR (1) multiplies the sizes.
func BenchmarkHostile(b *testing.B) {
	lab.Require(b)
	factor := 1.0
	if text := os.Getenv("HOSTILE_FACTOR"); text != "" {
		var err error
		if factor, err = strconv.ParseFloat(text, 64); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range hostile.Cases(factor) {
		b.Run(c.Name, func(b *testing.B) {
			for range b.N {
				runHostile(b, c)
			}
		})
	}
}

func runHostile(b *testing.B, c hostile.Case) {
	l, err := lab.New(lab.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := b.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, "."+name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "."+name), filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
	}
	write("case.yaml", c.Manifests)
	wait := otherProgram(b, l.Node())

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=agent", "STORE=files:"+dir, "RUN_DIR="+b.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getenv("HOSTILE_LOG") != "" {
		cmd.Stderr = os.Stderr
	}
	start := time.Now()
	if err := l.Node().Do(cmd.Start); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := &http.Client{Transport: &http.Transport{DialContext: l.Node().DialContext}, Timeout: 10 * time.Second}
	status := func() (st Status, ok bool) {
		resp, err := client.Get("http://127.0.0.1:9098/status")
		if err != nil {
			return st, false
		}
		defer func() { _ = resp.Body.Close() }()
		return st, json.NewDecoder(resp.Body).Decode(&st) == nil
	}
	until := func(what string, cond func() bool) bool {
		for limit := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
			select {
			case err := <-ended:
				b.Logf("%s: the agent ended: %v", what, err)
				b.ReportMetric(1, "died")
				ended <- err
				return false
			default:
			}
			if time.Now().After(limit) {
				b.ReportMetric(1, "too-slow")
				return false
			}
		}
		return true
	}
	ready := func() bool {
		resp, err := client.Get("http://127.0.0.1:9098/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if until("first state", ready) {
		b.ReportMetric(time.Since(start).Seconds()*1000, "ms/in-force")
		b.ReportMetric(float64(wait.Swap(0))/1e6, "ms/others-wait")
		before, _ := status()
		again := time.Now()
		write("zz-another.yaml", c.Another)
		if until("one change", func() bool { st, ok := status(); return ok && st.Steps > before.Steps }) {
			b.ReportMetric(time.Since(again).Seconds()*1000, "ms/change")
			b.ReportMetric(float64(wait.Swap(0))/1e6, "ms/others-wait-change")
		}
		st, _ := status()
		for _, o := range st.Objects {
			if len(o.Findings) > 0 {
				b.Logf("%s %s: %s", o.Kind, o.Name, o.Findings)
			}
		}
	}
	b.ReportMetric(peakOf(cmd.Process.Pid), "MB-peak")
	b.ReportMetric(0, "ns/op")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		b.Logf("the agent ended with %v", err)
	}
	b.ReportMetric(cmd.ProcessState.UserTime().Seconds()*1000+cmd.ProcessState.SystemTime().Seconds()*1000, "ms/cpu")
}

func peakOf(pid int) float64 {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// otherProgram is another user of nftables on the node, which makes and deletes a table
// again and again. It returns how long its longest transaction took since that was last set to 0, in ns.
func otherProgram(b *testing.B, node *lab.Host) *atomic.Int64 {
	b.Helper()
	conn, err := nfnl.Dial("/proc/self/fd/" + strconv.Itoa(node.FD()))
	if err != nil {
		b.Fatal(err)
	}
	var longest atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		table := codec.TableID{Family: unix.NFPROTO_INET, Name: "another-program"}
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			start := time.Now()
			w := nfnl.Writer{}
			w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
			codec.WriteTable(&w, unix.NFT_MSG_NEWTABLE, table)
			codec.WriteTable(&w, unix.NFT_MSG_DELTABLE, table)
			w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
			if err := conn.Do(&w, uint32(w.Messages()-1), nil); err != nil {
				b.Error(err)
				return
			}
			for d := time.Since(start).Nanoseconds(); d > longest.Load(); {
				longest.Store(d)
			}
		}
	}()
	b.Cleanup(func() { close(stop); <-stopped; _ = conn.Close() })
	return &longest
}
