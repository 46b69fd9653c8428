package cni

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/backoff"
)

// TestReadOnly holds that an installer that may not write says so, leaves everything as it is and goes on trying: what a
// node image that is not to be changed looks like.
func TestReadOnly(t *testing.T) {
	h := newHost(t, map[string]string{"10-n.conflist": someList})
	writable := readOnly(t, h.conf)
	before := h.files(t)
	i := h.installer(t)
	i.backoff = backoff.Backoff{Min: time.Millisecond, Max: time.Millisecond}
	_, _, err := i.Install()
	if err == nil || !strings.Contains(err.Error(), "read-only file system") || !strings.Contains(err.Error(), h.conf) {
		t.Errorf("the error is %v: expected one that names %s and says that it is read-only", err, h.conf)
	}
	after := h.files(t)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s was changed to %q", name, after[name])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- i.Run(ctx) }()
	until := func(what string, ok func(InstallStatus) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(i.Status()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, i.Status())
			}
		}
	}
	until("read-only", func(s InstallStatus) bool { return !s.Installed && strings.Contains(s.Error, "read-only file system") })
	writable()
	until("writable", func(s InstallStatus) bool { return s.Installed && s.Error == "" })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(h.read(t, "10-n.conflist"), "tierwall") {
		t.Error("it is not installed in the end")
	}
}

// readOnly makes a directory one that nobody can write to, root included, until the test ends or the function is called.
func readOnly(t *testing.T, dir string) (writable func()) {
	t.Helper()
	err := unix.Mount(dir, dir, "", unix.MS_BIND, "")
	if err == nil {
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		err = unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, NOTHING TESTED: mount %s: %v", filepath.Base(dir), err)
	}
	return func() {
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT, ""); err != nil {
			t.Error(err)
		}
	}
}
