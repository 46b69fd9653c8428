package keeper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HostsDir is the directory, in a cluster's, with a file NAME for each host, which has
// the PID of its keeper.
const HostsDir = "hosts"

// GroupName is the name of the control group of the cluster that has the directory.
func GroupName(dir string) string { return "tierwall-e2e-" + filepath.Base(dir) }

// groupsRoot is where the hierarchies of control groups are mounted.
const groupsRoot = "/sys/fs/cgroup"

// patience bounds what takes milliseconds, on a machine that is busy.
const patience = time.Minute

// RunJanitor waits for the end of standard input, and then removes what is left of the cluster
// that has the directory, and the directory.
func RunJanitor(dir string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return fmt.Errorf("janitor: %w", err)
	}
	return Remove(dir)
}

// Remove ends the hosts of the cluster that has the directory, and removes its control groups
// and the directory.
func Remove(dir string) error {
	hosts, err := os.ReadDir(filepath.Join(dir, HostsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove cluster: %w", err)
	}
	for _, h := range hosts {
		err = errors.Join(err, endHost(dir, h.Name()))
	}
	err = errors.Join(err, RemoveGroups(GroupName(dir)))
	if removed := within(func() error { return os.RemoveAll(dir) }); removed != nil {
		err = errors.Join(err, fmt.Errorf("remove cluster: %w", removed))
	}
	return err
}

// endHost ends a host with all that is in it, and returns when it is gone.
func endHost(dir, name string) error {
	pid, fd, err := OpenHost(dir, name)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("host %s: kill process %d: %w", name, pid, err)
	}
	return WaitEnd(fd)
}

// WaitEnd waits until a process, and if it is a host's all others in the host, has ended.
func WaitEnd(pidfd int) error {
	for {
		// The first process of a PID namespace is over when all others are.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = fmt.Errorf("the process did not end within %v", patience)
		}
		return err
	}
}

// ErrGone is that a host does not exist.
var ErrGone = errors.New("the host is not up")

// OpenHost returns the PID of a host's keeper and a file descriptor for it (pidfd), or ErrGone.
func OpenHost(dir, name string) (pid, fd int, err error) {
	text, err := os.ReadFile(filepath.Join(dir, HostsDir, name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return 0, 0, fmt.Errorf("host %s: %w", name, ErrGone)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("host %s: %w", name, err)
	}
	pid, err = strconv.Atoi(string(text))
	if err != nil {
		return 0, 0, fmt.Errorf("host %s: the file with its PID: %w", name, err)
	}
	fd, err = unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("host %s: %w", name, ErrGone)
	}
	// The number may be another process's by now: since a boot, say.
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if words := strings.Split(string(command), "\x00"); err != nil || !slices.Contains(words, dir) {
		_ = unix.Close(fd)
		return 0, 0, fmt.Errorf("host %s: %w", name, ErrGone)
	}
	return pid, fd, nil
}

// Groups returns a directory for a control group in each hierarchy of the first version.
func Groups(name string) ([]string, error) { return hierarchies(name, "tasks") }

// hierarchies returns a directory for a control group in each hierarchy that has the file.
func hierarchies(name, file string) ([]string, error) {
	entries, err := os.ReadDir(groupsRoot)
	if err != nil {
		return nil, fmt.Errorf("control groups: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		root := filepath.Join(groupsRoot, e.Name())
		// Not "cpu" if it is a link to "cpu,cpuacct".
		if _, err := os.Stat(filepath.Join(root, file)); err == nil && e.IsDir() {
			dirs = append(dirs, filepath.Join(root, name))
		}
	}
	return dirs, nil
}

// RemoveGroups removes a control group, with those in it, from all hierarchies. Their processes
// must be ending.
func RemoveGroups(name string) error {
	// That of the second version too: runc makes groups there as well.
	dirs, err := hierarchies(name, "cgroup.procs")
	for _, dir := range dirs {
		err = errors.Join(err, within(func() error { return removeTree(dir) }))
	}
	return err
}

func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range slices.Backward(dirs) {
		if e := os.Remove(d); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// within repeats f until it has no error, for as long as there is patience.
func within(f func() error) error {
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(limit) {
			return err
		}
	}
}
