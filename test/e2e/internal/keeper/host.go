package keeper

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// RunHost sets up the namespaces that this process was started in, as the first
// process, and holds them until its lifeline ends. The kernel then ends everything in them.
func RunHost() error {
	// A terminal's interrupt is for the one who holds the lifeline.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
	lifeline := os.NewFile(LifelineFD, "lifeline")
	report := os.NewFile(ReportFD, "report")
	in := json.NewDecoder(lifeline)
	var h Host
	err := in.Decode(&h)
	if err == nil {
		err = h.setUp()
	}
	if err != nil {
		_, _ = fmt.Fprint(report, err) // nobody to tell, if that fails
		return err
	}
	if _, err := io.WriteString(report, Ready); err != nil {
		return fmt.Errorf("host %s: report: %w", h.Name, err)
	}
	if err := report.Close(); err != nil {
		return fmt.Errorf("host %s: report: %w", h.Name, err)
	}
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return nil
		case <-children:
			reap()
		}
	}
}

func (h Host) setUp() error {
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return fmt.Errorf("host %s: set the name: %w", h.Name, err)
	}
	// What is mounted from here on is not seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("host %s: make mounts private: %w", h.Name, err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("host %s: mount /proc: %w", h.Name, err)
	}
	for _, m := range h.Mounts {
		if err := m.mount(); err != nil {
			return fmt.Errorf("host %s: mount %s at %s: %w", h.Name, m.Kind, m.Target, err)
		}
	}
	return nil
}

func (m Mount) mount() error {
	switch m.Kind {
	case Tmpfs:
		return m.directory(func() error { return unix.Mount("tmpfs", m.Target, "tmpfs", unix.MS_NOSUID, "mode=755") })
	case Bind:
		return m.bind()
	case Overlay:
		return m.overlay()
	case Sysfs:
		return m.sysfs()
	case Shared:
		return unix.Mount("", m.Target, "", unix.MS_REC|unix.MS_SHARED, "")
	}
	return fmt.Errorf("no such kind of mount")
}

func (m Mount) directory(mount func() error) error {
	if err := os.MkdirAll(m.Target, 0o755); err != nil {
		return err
	}
	return mount()
}

func (m Mount) bind() error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	bind := func() error { return unix.Mount(m.Source, m.Target, "", unix.MS_BIND, "") }
	if !info.IsDir() {
		return bind()
	}
	return m.directory(bind)
}

// overlay keeps what is written in SOURCE/upper.
func (m Mount) overlay() error {
	if _, err := os.Stat(m.Target); err != nil {
		return m.directory(func() error { return nil }) // nothing of the machine's to protect
	}
	upper, work := filepath.Join(m.Source, "upper"), filepath.Join(m.Source, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", m.Target, upper, work)
	return unix.Mount("overlay", m.Target, "overlay", 0, options)
}

// sysfs moves the control groups over: a new sysfs has none.
func (m Mount) sysfs() error {
	groups := filepath.Join(m.Target, "fs/cgroup")
	tree, err := unix.OpenTree(unix.AT_FDCWD, groups, unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone %s: %w", groups, err)
	}
	defer func() { _ = unix.Close(tree) }()
	if err := unix.Mount("sysfs", m.Target, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, groups, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move the control groups to %s: %w", groups, err)
	}
	return nil
}
