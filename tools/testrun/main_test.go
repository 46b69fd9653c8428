package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written is what a run of `go test -json` writes, one event a line.
const written = `{"Action":"start","Package":"x/a"}
{"Action":"run","Package":"x/a","Test":"TestGood"}
{"Action":"output","Package":"x/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"x/a","Test":"TestGood","Output":"nobody wants to know\n"}
{"Action":"pass","Package":"x/a","Test":"TestGood","Elapsed":0.1}
{"Action":"run","Package":"x/a","Test":"TestSkipped"}
{"Action":"output","Package":"x/a","Test":"TestSkipped","Output":"=== RUN   TestSkipped\n"}
{"Action":"output","Package":"x/a","Test":"TestSkipped","Output":"    a_test.go:7: there is no etcd\n"}
{"Action":"output","Package":"x/a","Test":"TestSkipped","Output":"--- SKIP: TestSkipped (0.00s)\n"}
{"Action":"skip","Package":"x/a","Test":"TestSkipped","Elapsed":0}
{"Action":"output","Package":"x/a","Output":"ok  \tx/a\t(cached)\n"}
{"Action":"pass","Package":"x/a","Elapsed":0.2}
{"Action":"output","Package":"x/none","Output":"?   \tx/none\t[no test files]\n"}
{"Action":"skip","Package":"x/none","Elapsed":0}
`

const failing = `{"Action":"run","Package":"x/b","Test":"TestBad"}
{"Action":"run","Package":"x/b","Test":"TestBad/case"}
{"Action":"output","Package":"x/b","Test":"TestBad/case","Output":"    b_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"x/b","Test":"TestBad/case","Elapsed":0}
{"Action":"fail","Package":"x/b","Test":"TestBad","Elapsed":0}
{"Action":"run","Package":"x/b","Test":"TestPanics"}
{"Action":"output","Package":"x/b","Test":"TestPanics","Output":"panic: here\n"}
{"Action":"output","Package":"x/b","Output":"FAIL\tx/b\t1.5s\n"}
{"Action":"fail","Package":"x/b","Elapsed":1.5}
{"ImportPath":"x/c","Action":"build-output","Output":"c/c.go:3:1: undefined: y\n"}
{"ImportPath":"x/c","Action":"build-fail"}
{"Action":"fail","Package":"x/c","Elapsed":0,"FailedBuild":"x/c"}
`

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
		want     string
	}{
		{"all is well", written, true, `ok   x/a  cached, 2 tests, 1 skipped

skipped:
     x/a TestSkipped: a_test.go:7: there is no etcd

ok: 1 package, 2 tests: 1 passed, 0 failed, 1 skipped, in 3s
`},
		{"failures, a panic, a package that does not build", failing, false, `    b_test.go:9: got 1, want 2
panic: here
FAIL x/b  1.5s, 2 tests
c/c.go:3:1: undefined: y
FAIL x/c  does not build

failed:
     x/b TestBad/case
     x/b TestBad
     x/b
     x/c

FAIL: 2 packages, 2 tests: 0 passed, 2 failed, 0 skipped, in 3s
`},
		{"no end of a package, and a line of another kind", `{"Action":"run","Package":"x/d","Test":"TestD"}
what is this
{"Action":"output","Package":"x/d","Test":"TestD","Output":"said\n"}`, false, `what is this
said
FAIL x/d  0.0s, 0 tests
x/d ended without a result

failed:
     x/d

FAIL: 1 package, 0 tests: 0 passed, 0 failed, 0 skipped, in 3s
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.in), nil); err != nil {
				t.Fatal(err)
			}
			r.summary(3 * time.Second)
			if diff := cmp.Diff(c.want, out.String()); diff != "" || r.ok() != c.ok {
				t.Errorf("ok %v, want %v (-want +got):\n%s", r.ok(), c.ok, diff)
			}
		})
	}
}

func TestTheKernelWasNotTested(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	in := strings.ReplaceAll(written, "there is no etcd", "SKIPPED, NOTHING TESTED: this test needs network namespaces: operation not permitted")
	if err := r.read(strings.NewReader(in), nil); err != nil {
		t.Fatal(err)
	}
	r.summary(0)
	for _, want := range []string{"NOT TESTED: THE KERNEL. 1 test did not run", "unprivileged user namespaces", "1 skipped, THE KERNEL NOT TESTED, in 0s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	lab, err := os.ReadFile(filepath.Join("..", "..", "internal", "lab", "enter.go"))
	if err != nil || !bytes.Contains(lab, []byte(needsNamespaces)) {
		t.Errorf("package internal/lab does not say %q when it skips a test (%v)", needsNamespaces, err)
	}
}

func TestStillRunning(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	for _, e := range []event{
		{Action: "run", Package: "x/a", Test: "TestOne"}, {Action: "pass", Package: "x/a", Test: "TestOne"},
		{Action: "run", Package: "x/a", Test: "TestTwo"}, {Action: "run", Package: "x/a", Test: "TestTwo/case"},
	} {
		r.take(&e)
	}
	r.stillRunning()
	if got, want := out.String(), "...  x/a  1 test ended; running: TestTwo\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		args string
		want [][]string
	}{
		{"", nil},
		{"--", nil},
		{"a b", [][]string{{"a", "b"}}},
		{"a b -- c -- d e --", [][]string{{"a", "b"}, {"c"}, {"d", "e"}}},
	} {
		if diff := cmp.Diff(c.want, split(strings.Fields(c.args))); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", c.args, diff)
		}
	}
}

// The exit code is that of the first command that failed, and all are run.
func TestRun(t *testing.T) {
	event := `echo {\"Action\":\"pass\",\"Package\":\"x\",\"Elapsed\":1}`
	failed := `echo {\"Action\":\"fail\",\"Package\":\"x\"}`
	for _, c := range []struct {
		name string
		args []string
		want int
		out  string
	}{
		{"usage", nil, 2, ""},
		{"well", []string{"sh", "-c", event}, 0, "ok: 1 package"},
		{"the first that failed", []string{"sh", "-c", "exit 7", "--", "sh", "-c", event, "--", "sh", "-c", "exit 8"}, 7, "1 package"},
		{"events of a failure", []string{"sh", "-c", failed}, 1, "FAIL: 1 package"},
		{"a program that there is not", []string{"/nowhere/program"}, 1, "0 packages"},
		{"by a signal", []string{"sh", "-c", "kill -9 $$"}, 1, "0 packages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs strings.Builder
			if got := run(c.args, &out, &errs); got != c.want || !strings.Contains(out.String(), c.out) {
				t.Errorf("exit code %d, want %d; output, which is to have %q:\n%s%s", got, c.want, c.out, out.String(), errs.String())
			}
		})
	}
}
