package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	publishDir    = "/run/netns" // where ip(8) and others look
	publishPrefix = "tierwall-"
)

// Publish returns the namespaces names below /run/netns, so that
// "ip netns exec NAME" and other programs find them: NAME is
// "tierwall-PID-HOST", with "-" for "/" in the host's name. It gives the names
// by host name. Close takes them away; if the process dies before, the next
// Publish on this machine does. Hosts added later have no name until it is called
// again. Only root can do this; EnterCommand works for everybody.
func (l *Lab) Publish() (map[string]string, error) {
	if inside() {
		return nil, errors.New("lab: naming namespaces needs root: other programs do not see the mounts of a user namespace")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("lab: publish: the lab is closed")
	}
	if err := os.MkdirAll(publishDir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: publish: %w", err)
	}
	if err := removeStale(); err != nil {
		return nil, err
	}
	if err := l.unpublish(); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, h := range append([]*Host{l.node}, l.hosts...) {
		name := fmt.Sprintf("%s%d-%s", publishPrefix, os.Getpid(), strings.ReplaceAll(h.name, "/", "-"))
		if err := l.publishAs(h, filepath.Join(publishDir, name)); err != nil {
			return nil, errors.Join(fmt.Errorf("lab: publish %s: %w", h.name, err), l.unpublish())
		}
		names[h.name] = name
	}
	return names, nil
}

// publishAs mounts the host's namespace on a new file.
func (l *Lab) publishAs(h *Host, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	l.publish = append(l.publish, path)
	if err := f.Close(); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", h.FD()), path, "", unix.MS_BIND, "")
}

// unpublish takes away the names that this lab made.
func (l *Lab) unpublish() error {
	var errs []error
	for _, path := range l.publish {
		errs = append(errs, unmount(path))
	}
	l.publish = nil
	return errors.Join(errs...)
}

// removeStale takes away the names that processes left which have died.
func removeStale() error {
	paths, err := filepath.Glob(filepath.Join(publishDir, publishPrefix+"*"))
	if err != nil {
		return fmt.Errorf("lab: look for stale names: %w", err)
	}
	var errs []error
	for _, path := range paths {
		rest := strings.TrimPrefix(filepath.Base(path), publishPrefix)
		number, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 0 || unix.Kill(pid, 0) != unix.ESRCH {
			continue // not ours, or alive
		}
		errs = append(errs, unmount(path))
	}
	return errors.Join(errs...)
}

// unmount ends the mount on a file, if there is one, and removes the file.
func unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("lab: unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}
