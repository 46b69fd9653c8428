package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/lab"
)

// requireLab skips where this process may not build labs by itself: the command
// would run itself again in a user namespace and take the test binary with it.
func requireLab(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && lab.Available() != nil {
		t.Skip("needs root: the command would start this binary again in a user namespace")
	}
	lab.Require(t)
}

func TestDemoCommand(t *testing.T) {
	requireLab(t)
	var stdout, stderr bytes.Buffer
	code := Run(context.Background(), []string{"demo", "--scenario", "global-api"}, strings.NewReader(""), &stdout, &stderr)
	out := stdout.String()
	if code != 0 || stderr.Len() > 0 {
		t.Errorf("exit %d, stderr %q", code, &stderr)
	}
	for _, want := range []string{
		"global-api: one global policy opens one API",
		"    FROM          TO             CONNECTION  POLICY  KERNEL  DECIDED BY\n",
		"ok  web-ns/app-1  203.0.113.10   TCP 443     Allow   Allow   out  default: allow-api-access rule 0\n",
		"  then the API gives up its first address\n",
		"ok  web-ns/app-1  203.0.113.10   TCP 443     Deny    cut     out  default: end of tier\n",
		"ok  web-ns/plain  203.0.113.10   TCP 443     Allow   lives   no policy\n",
		"1 scenario, 17 connections in ",
		"agree on all of them.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing: %q", want)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours, and no terminal")
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemoJSON(t *testing.T) {
	requireLab(t)
	var stdout, stderr bytes.Buffer
	code := Run(context.Background(), []string{"demo", "--scenario", "org-pod", "-o", "json"}, strings.NewReader(""), &stdout, &stderr)
	var report struct {
		Agree     bool
		Scenarios []struct {
			Name  string
			Steps []struct {
				Connections []struct{ From, To, Expected, Policy, Kernel string }
			}
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s %s", code, err, &stdout, &stderr)
	}
	if !report.Agree || len(report.Scenarios) != 1 || len(report.Scenarios[0].Steps[0].Connections) != 8 {
		t.Errorf("got %+v", report)
	}
}

// TestDemoKeepEndsWithInterrupt: with --keep the command waits, says how to look
// around, and cleans up when it is interrupted.
func TestDemoKeepEndsWithInterrupt(t *testing.T) {
	requireLab(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout bytes.Buffer
	stderr := &notifying{want: "Press Ctrl-C", seen: make(chan struct{})}
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, []string{"demo", "--scenario", "redis", "--keep"}, strings.NewReader(""), &stdout, stderr)
	}()
	select {
	case <-stderr.seen:
	case code := <-done:
		t.Fatalf("it ended with %d and did not wait: %s", code, stderr)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing in 30 s")
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{"nsenter ", "web-ns/frontend-1", "curl -m 2 --interface 10.65.", "nft list ruleset"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("missing: %q in\n%s", want, stderr)
		}
	}
}

// notifying is a buffer that tells when a text has come.
type notifying struct {
	b    bytes.Buffer
	want string
	seen chan struct{}
}

func (n *notifying) Write(p []byte) (int, error) {
	k, err := n.b.Write(p)
	if strings.Contains(n.b.String(), n.want) {
		close(n.seen)
		n.want = "\x00 no more"
	}
	return k, err
}

// String returns what was written; call it after the end.
func (n *notifying) String() string { return n.b.String() }
