package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/term"
)

// insideVariable in the environment marks the process that Enter starts.
const insideVariable = "TIERWALL_LAB_INSIDE"

// inside reports whether Enter put the process into a user namespace.
func inside() bool { return os.Getenv(insideVariable) != "" }

// Enter makes sure that this process may build labs. As root it just returns nil.
// Otherwise it runs the program again, with the same arguments, as root of a new
// user namespace (with network and mount namespaces of its own), waits for it
// and exits with its exit code: it returns only if that is impossible, with the
// reason. The second process ends when the first does, in whatever way.
//
// Call it before anything else happens: first in TestMain, or first in a command.
func Enter() error {
	err := Available()
	if inside() {
		if err != nil {
			return err
		}
		return loopbackUp()
	}
	if err == nil {
		return nil
	}
	code, err := runInside()
	if err != nil {
		return fmt.Errorf("lab: enter a user namespace: %w (run as root, or allow unprivileged user namespaces on this machine)", err)
	}
	os.Exit(code)
	return nil
}

// Available reports whether this process may build labs: nil, or the reason why
// not and what would help.
func Available() error {
	ns, err := newNamespace()
	if err != nil {
		return fmt.Errorf("lab: make a network namespace: %w (run as root, or as a program that calls lab.Enter)", err)
	}
	return ns.Close()
}

// runInside runs this program again as root of a new user namespace and gives its
// exit code.
func runInside() (int, error) {
	// The signal at the parent's death belongs to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			// A terminal sends its interrupt to both processes.
			if s != syscall.SIGINT || !term.IsTerminal(int(os.Stdin.Fd())) {
				_ = cmd.Process.Signal(s) // it may have ended just now
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil // as shells say it
	}
	return cmd.ProcessState.ExitCode(), nil
}

// loopbackUp sets up the loopback interface of the namespace that Enter made, for
// what the program itself does on localhost.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("lab: set lo up: %w", err)
	}
	return nil
}

// TB is what Require needs of a testing.TB.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require skips the test where no lab can be built, and says why. With CI=true in
// the environment it fails it instead. Call Enter in TestMain, so that tests run
// without root as well.
func Require(t TB) {
	t.Helper()
	err := Available()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs network namespaces, and CI must have them: %v", err)
	}
	t.Skipf("SKIPPED, NOTHING TESTED: this test needs network namespaces: %v", err)
}

// RequireProgram returns the path of a program of the machine, and skips the test
// where it is missing, loudly. With CI=true in the environment it fails it instead.
func RequireProgram(t TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs the program %s, and CI must have it: %v", name, err)
	}
	t.Skipf("SKIPPED, NOTHING TESTED: this test needs the program %s: %v", name, err)
	return ""
}
