package agent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const defaultRunDir = "/run/tierwall"

// runDir returns the directory of the lock file, which may be left to be the usual one.
func runDir(dir string) string {
	if dir == "" {
		return defaultRunDir
	}
	return dir
}

// lock makes sure that one agent at most writes the tables of this network
// namespace, which is what the tables belong to: by a name that all agents of it share (lockHost), and by a
// file, which agents before knew. The kernel frees both when the process ends, in whatever way. The file
// stays. It also gives the number of the network namespace.
func lock(cfg *Config) (namespace uint64, unlock func(), err error) {
	dir := runDir(cfg.RunDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, nil, fmt.Errorf("lock: %w", err)
	}
	if namespace, err = networkNamespace(); err != nil {
		return 0, nil, err
	}
	unlockHost, doubt, err := lockHost(cmp.Or(cfg.hostSocket, hostSocket))
	if err != nil {
		return 0, nil, err
	}
	if doubt != nil && cfg.Log != nil {
		cfg.Log.Warn("whether another agent runs on this host cannot be told", "error", doubt)
	}
	f, err := lockFile(lockPath(dir, namespace))
	if err != nil {
		unlockHost()
		return 0, nil, err
	}
	return namespace, func() {
		_ = f.Close()
		unlockHost()
	}, nil
}

// Alone returns an error if another agent runs on this host, before anything is opened that only one
// can have: what fails then would be named as the cause. Run makes sure.
func Alone(cfg *Config) error {
	_, unlock, err := lock(cfg)
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// lockFile takes the lock file.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w%s: end it first (%s is locked)", errOtherAgent, holder(f), path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// Who holds it is for people to read; that it is held does not depend on it.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// networkNamespace returns the number of the caller's network namespace, unique
// while it exists.
func networkNamespace() (uint64, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return 0, fmt.Errorf("which network namespace is this: %w", err)
	}
	return ns.Ino, nil
}

// holder names the process that wrote itself into the lock file.
func holder(f *os.File) string {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
