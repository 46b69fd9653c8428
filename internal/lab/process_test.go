package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVariable makes TestHelper do something in a process of its own.
const helperVariable = "TIERWALL_LAB_TEST_HELPER"

// nobody is a user without any rights.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// again runs this test program again, with some of its tests.
func again(t *testing.T, tests string, user *syscall.Credential, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", tests, "-test.v", "-test.count=1")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	return cmd
}

// rootless skips the test unless nobody can be made root of a user namespace.
func rootless(t *testing.T) {
	t.Helper()
	Require(t)
	if os.Geteuid() != 0 || inside() {
		t.Skip("the tests run without root already")
	}
	out, err := again(t, "TestDo", nobody).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "SKIPPED") {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must have user namespaces: %v\n%s", err, out)
	}
	t.Skipf("SKIPPED, NOTHING TESTED: user namespaces do not work here: %v\n%s", err, out)
}

// All that works as root works without.
func TestRootless(t *testing.T) {
	rootless(t)
	out, err := again(t, "Probe|Conn|Add|Remove|Do|HTTP|Commands|Outside|Publish", nobody).CombinedOutput()
	if err != nil || strings.Contains(string(out), "--- FAIL") || !strings.Contains(string(out), "--- PASS: TestProbe") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestHelper is no test but what other tests run in a process of its own.
func TestHelper(t *testing.T) {
	switch os.Getenv(helperVariable) {
	case "":
		t.Skip("only for other tests")
	case "exit":
		os.Exit(7)
	case "publish":
		l := world(t)
		if _, err := l.Publish(); err != nil {
			t.Fatal(err)
		}
	case "hold":
		fmt.Printf("\nenter %s\n", world(t).Host("web").EnterCommand())
	}
	fmt.Printf("\nready %d\n", os.Getpid())
	// Until killed. Somebody who waits for a signal is no deadlock.
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	<-never
}

// startHelper starts TestHelper, waits until it is ready and gives the process's
// id as it says it, which is that of the one that Enter started, if any.
// It also gives the command that enters its host web.
func startHelper(t *testing.T, what string, user *syscall.Credential) (cmd *exec.Cmd, pid int, enter string) {
	t.Helper()
	cmd = again(t, "TestHelper", user, helperVariable+"="+what)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "enter "); ok {
			enter = rest
		}
		if _, err := fmt.Sscanf(lines.Text(), "ready %d", &pid); err == nil {
			return cmd, pid, enter
		}
	}
	t.Fatalf("the helper did not get ready: %v", cmd.Wait())
	return nil, 0, ""
}

func TestNamesOfTheDeadAreRemoved(t *testing.T) {
	Require(t)
	if inside() {
		t.Skip("only root names namespaces")
	}
	cmd, pid, _ := startHelper(t, "publish", nil)
	left := func() int {
		paths, err := filepath.Glob(fmt.Sprintf("%s/%s%d-*", publishDir, publishPrefix, pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(paths)
	}
	if left() != 4 {
		t.Errorf("%d names", left())
	}
	l := world(t)
	if _, err := l.Publish(); err != nil {
		t.Error(err)
	}
	if left() != 4 {
		t.Error("names of a living process were removed")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if _, err := l.Publish(); err != nil {
		t.Error(err)
	}
	if left() != 0 {
		t.Errorf("%d names of a dead process are left", left())
	}
}

func TestPublish(t *testing.T) {
	l := world(t)
	names, err := l.Publish()
	if inside() {
		if err == nil {
			t.Error("names that nobody sees")
		}
		return
	}
	if err != nil || len(names) != 4 {
		t.Fatalf("%v, %v", names, err)
	}
	path := filepath.Join(publishDir, names["web"])
	var named, own unix.Stat_t
	if err := errors.Join(unix.Stat(path, &named), unix.Fstat(l.Host("web").FD(), &own)); err != nil {
		t.Fatal(err)
	}
	if named.Ino != own.Ino || named.Dev != own.Dev {
		t.Error("the name leads to another namespace")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
}

// When the outer of the two processes is killed, the inner one ends as well, and
// with it all of its namespaces.
func TestKilledRootless(t *testing.T) {
	rootless(t)
	cmd, inner, enter := startHelper(t, "hold", nobody)
	tryEnterCommand(t, enter, nobody)
	if inner == cmd.Process.Pid {
		t.Fatal("there is no second process")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", inner))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return // gone, but for whoever inherited it to take notice
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still lives: %s", inner, state)
		}
	}
}

func TestExitCodeAndSignalsRootless(t *testing.T) {
	rootless(t)
	var exit *exec.ExitError
	if err := again(t, "TestHelper", nobody, helperVariable+"=exit").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v, want exit code 7", err)
	}
	cmd, _, _ := startHelper(t, "hold", nobody)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) && exit.ExitCode() != 2 {
		t.Errorf("got %v, want the inner process ended by the signal", err)
	}
}
