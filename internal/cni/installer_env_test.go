package cni

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// host is the directories of a container runtime.
type host struct {
	conf, bin, program string
}

func newHost(t testing.TB, files map[string]string) *host {
	t.Helper()
	tmp := t.TempDir()
	h := &host{filepath.Join(tmp, "net.d"), filepath.Join(tmp, "bin"), filepath.Join(tmp, "program")}
	for _, dir := range []string{h.conf, h.bin} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, h.program, "version 1")
	for name, text := range files {
		h.write(t, filepath.Join(h.conf, name), text)
	}
	return h
}

// write replaces a file as CNI daemons do.
func (h *host) write(t testing.TB, path, text string) {
	t.Helper()
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func (h *host) installer(t testing.TB, change ...func(*InstallerConfig)) *Installer {
	t.Helper()
	cfg := InstallerConfig{ConfDir: h.conf, BinDir: h.bin, Program: h.program, Socket: filepath.Join(h.conf, "../cni.sock")}
	if t, ok := t.(*testing.T); ok {
		cfg.Log = testLog(t)
	}
	for _, c := range change {
		c(&cfg)
	}
	i, err := NewInstaller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// files returns the content of both directories.
func (h *host) files(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{h.conf, h.bin} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			info, err2 := e.Info()
			rel, _ := filepath.Rel(filepath.Dir(h.conf), path)
			if err = errors.Join(err, err2); err == nil {
				all[rel] = fmt.Sprintf("%v %s", info.Mode(), b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (h *host) read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.conf, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustInstall(t testing.TB, i *Installer) (file string, changed bool) {
	t.Helper()
	file, changed, err := i.Install()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(file), changed
}

const (
	someList = `{"cniVersion": "0.4.0", "name": "n", "plugins": [
  {"type": "ptp"},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`
	someConf = "{\n\t\"cniVersion\": \"0.4.0\",\n\t\"name\": \"n\",\n\t\"type\": \"ptp\"\n}\n"
)
