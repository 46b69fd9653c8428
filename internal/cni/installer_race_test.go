package cni

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/backoff"
)

// TestInstallProperty holds for any directory of configurations that Uninstall after Install
// gives what was there before, to the byte, and that Install changes nothing the second time.
func TestInstallProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for range rapid.IntRange(1, 3).Draw(rt, "files") {
			name := rapid.SampledFrom([]string{"05-a", "10-b", "10-b.x", "20-c"}).Draw(rt, "name")
			space := rapid.SampledFrom([]string{"", " ", "\n", "\n\t", "\r\n  "})
			w := func() string { return space.Draw(rt, "space") }
			if rapid.Bool().Draw(rt, "list") {
				files[name+".conflist"] = "{" + w() + `"cniVersion":"1.0.0",` + w() + `"plugins":` + w() + "[" + w() + `{"type":"ptp"` + w() + "}" + w() + "," + w() + `{"type":"x"}` + w() + "]," + w() + `"name":"n"` + w() + "}" + w()
			} else {
				ext := rapid.SampledFrom([]string{".conf", ".json"}).Draw(rt, "ext")
				files[name+ext] = w() + "{" + w() + `"cniVersion":"1.0.0",` + w() + `"type":"ptp",` + w() + `"name":"n"` + w() + "}" + w()
			}
		}
		h := newHost(t, files)
		before := h.files(t)
		i := h.installer(rt2tb{t})
		_, _, err := i.Install()
		if err == nil {
			installed := h.files(t)
			if _, changed, err := i.Install(); err != nil || changed {
				rt.Fatalf("a second time: %v, %v", changed, err)
			}
			if diff := cmp.Diff(installed, h.files(t)); diff != "" {
				rt.Fatalf("a second time: -first +second:\n%s", diff)
			}
		}
		if err := i.Uninstall(); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(before, h.files(t)); diff != "" {
			rt.Fatalf("-before +after:\n%s", diff)
		}
	})
}

// rt2tb keeps the log of a property out of the test's.
type rt2tb struct{ testing.TB }

// TestInstallRace lets another program write the configuration while the plugin is
// put in and taken out: what it wrote last is there in the end.
func TestInstallRace(t *testing.T) {
	h := newHost(t, map[string]string{"10-n.conflist": someList})
	path := filepath.Join(h.conf, "10-n.conflist")
	var written atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 300 {
			h.write(t, path, strings.Replace(someList, `"n"`, fmt.Sprintf(`"n%d"`, n), 1))
			written.Store(int64(n))
		}
	}()
	i := h.installer(rt2tb{t})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		// It gives up if it loses the race too often, and the daemon tries again.
		_, _, _ = i.Install()
	}
	mustInstall(t, i)
	if err := i.Uninstall(); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(someList, `"n"`, fmt.Sprintf(`"n%d"`, written.Load()), 1)
	if diff := cmp.Diff(want, h.read(t, "10-n.conflist")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(h.files(t)) != 1 {
		t.Errorf("something was left: %v", h.files(t))
	}
}

// TestRun holds that the plugin comes back, whatever takes it out, and waits for
// what is not there yet.
func TestRun(t *testing.T) {
	h := newHost(t, nil)
	i := h.installer(t)
	i.backoff = backoff.Backoff{Min: time.Millisecond, Max: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- i.Run(ctx) }()
	until := func(what string, ok func(InstallStatus) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(i.Status()); {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, i.Status())
			}
			time.Sleep(time.Millisecond)
		}
	}
	until("no network yet", func(s InstallStatus) bool { return strings.Contains(s.Error, errNoNetwork.Error()) })
	list := filepath.Join(h.conf, "10-n.conflist")
	h.write(t, list, someList)
	until("a network", func(s InstallStatus) bool { return s.Installed && s.File == list && s.Error == "" })
	h.write(t, list, someList)
	until("written anew", func(s InstallStatus) bool { return s.Installed && s.Repairs == 1 })
	if err := os.Remove(filepath.Join(h.bin, "tierwall")); err != nil {
		t.Fatal(err)
	}
	until("program removed", func(s InstallStatus) bool { return s.Installed && s.Repairs == 2 })
	h.write(t, list, "{")
	until("no JSON", func(s InstallStatus) bool {
		return !s.Installed && strings.Contains(s.Error, "line 1, column 2: is not JSON")
	})
	h.write(t, list, someList)
	until("mended", func(s InstallStatus) bool { return s.Installed })
	first := filepath.Join(h.conf, "05-n.conflist")
	h.write(t, first, someList)
	until("another network first", func(s InstallStatus) bool { return s.Installed && s.File == first })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(h.read(t, "05-n.conflist"), "tierwall") {
		t.Error("the plugin did not stay when the agent ended")
	}
}
