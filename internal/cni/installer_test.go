package cni

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/cni/conflist"
)

func TestInstall(t *testing.T) {
	h := newHost(t, map[string]string{"10-n.conflist": someList, "20-later.conf": someConf, "00-note.txt": "x"})
	before := h.files(t)
	i := h.installer(t, func(c *InstallerConfig) {
		c.Socket, c.Timeout, c.FailOpen, c.ExemptNamespaces = "/run/x.sock", time.Minute, true, []string{"a"}
	})
	if file, changed := mustInstall(t, i); file != "10-n.conflist" || !changed {
		t.Errorf("%s, %v", file, changed)
	}
	want := `{"cniVersion": "0.4.0", "name": "n", "plugins": [
  {"type": "ptp"},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "tierwall", "socket": "/run/x.sock", "timeout": "1m0s", "failurePolicy": "open", "exemptNamespaces": ["a"]}]}
`
	if diff := cmp.Diff(want, h.read(t, "10-n.conflist")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	installed := h.files(t)
	if got := installed["bin/tierwall"]; got != "-rwxr-xr-x version 1" {
		t.Errorf("the program is %q", got)
	}
	if !strings.HasPrefix(installed["net.d/10-n.conflist"], "-rw-r----- ") {
		t.Errorf("the mode of the configuration has changed: %s", installed["net.d/10-n.conflist"])
	}
	for _, again := range []*Installer{i, h.installer(t, func(c *InstallerConfig) { *c = i.cfg })} {
		if _, changed := mustInstall(t, again); changed {
			t.Error("installed twice")
		}
	}
	// Another version takes its place: an older one just as well.
	h.write(t, h.program, "version 0 which is longer")
	older := h.installer(t)
	if _, changed := mustInstall(t, older); !changed {
		t.Error("another version changed nothing")
	}
	if got := h.files(t); got["bin/tierwall"] != "-rwxr-xr-x version 0 which is longer" || strings.Contains(got["net.d/10-n.conflist"], "exempt") {
		t.Errorf("%v", got)
	}
	if err := older.Uninstall(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, h.files(t)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if err := older.Uninstall(); err != nil {
		t.Errorf("nothing is there any more: %v", err)
	}
}

// TestInstallConf makes a list of a configuration of one plugin, and the other way around.
func TestInstallConf(t *testing.T) {
	for _, name := range []string{"10-n.conf", "10-n.json"} {
		h := newHost(t, map[string]string{name: someConf, "20-x.conflist": someList})
		before := h.files(t)
		i := h.installer(t)
		for round := range 2 {
			if file, changed := mustInstall(t, i); file != "10-n.conflist" || changed != (round == 0) {
				t.Errorf("%s, %v", file, changed)
			}
		}
		kinds, err := conflist.Kinds([]byte(h.read(t, "10-n.conflist")))
		if diff := cmp.Diff([]string{"ptp", "tierwall"}, kinds); diff != "" || err != nil {
			t.Errorf("%v -want +got:\n%s", err, diff)
		}
		if h.read(t, name+savedSuffix) != someConf {
			t.Error("the original was not kept")
		}
		// The CNI daemon writes its configuration anew, a bit different.
		rewritten := strings.Replace(someConf, "ptp", "bridge", 1)
		h.write(t, filepath.Join(h.conf, name), rewritten)
		if name == "10-n.conf" { // the other one comes after the list, so that nobody reads it
			if _, changed := mustInstall(t, i); !changed || !strings.Contains(h.read(t, "10-n.conflist"), "bridge") {
				t.Error("what was written anew is not in use")
			}
		}
		if err := i.Uninstall(); err != nil {
			t.Fatal(err)
		}
		before["net.d/"+name] = "-rw-r----- " + rewritten
		if diff := cmp.Diff(before, h.files(t)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	}
	t.Run("a list that others have changed stays one", func(t *testing.T) {
		h := newHost(t, map[string]string{"10-n.conf": someConf})
		i := h.installer(t)
		mustInstall(t, i)
		added, err := conflist.Add([]byte(h.read(t, "10-n.conflist")), []byte(`{"type":"mesh"}`), []string{"0.4.0"})
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, filepath.Join(h.conf, "10-n.conflist"), string(added))
		if err := i.Uninstall(); err != nil {
			t.Fatal(err)
		}
		kinds, err := conflist.Kinds([]byte(h.read(t, "10-n.conflist")))
		if diff := cmp.Diff([]string{"ptp", "mesh"}, kinds); diff != "" || err != nil {
			t.Errorf("%v -want +got:\n%s", err, diff)
		}
		if len(h.files(t)) != 1 {
			t.Errorf("%v", h.files(t))
		}
	})
	t.Run("a network that is gone does not come back", func(t *testing.T) {
		h := newHost(t, map[string]string{"10-n.conf": someConf})
		i := h.installer(t)
		mustInstall(t, i)
		if err := os.Remove(filepath.Join(h.conf, "10-n.conflist")); err != nil {
			t.Fatal(err)
		}
		if err := i.Uninstall(); err != nil {
			t.Fatal(err)
		}
		if len(h.files(t)) != 0 {
			t.Errorf("%v", h.files(t))
		}
	})
}

func TestInstallRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no network", nil, "the network plugin of the cluster is not installed on this host yet: no configuration in net.d"},
		{"loopback", map[string]string{"99-lo.conf": `{"cniVersion":"1.0.0","name":"lo","type":"loopback"}`},
			"net.d/99-lo.conf: the network plugin of the cluster is not installed on this host yet"},
		{"no JSON", map[string]string{"10-n.conflist": "{\n  \"name\": \"n\"\n  oops", "20-n.conflist": someList},
			"net.d/10-n.conflist: line 3, column 3: is not JSON: invalid character 'o' after object key:value pair"},
		{"too old", map[string]string{"10-n.conf": `{"cniVersion":"0.2.0","name":"n","type":"ptp"}`},
			"net.d/10-n.conf: cniVersion 0.2.0: is not supported: expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"},
		{"list in a .conf", map[string]string{"10-n.conf": someList},
			"net.d/10-n.conf: plugins: is of configuration lists, and container runtimes take a file for one only if its name ends with .conflist"},
		{"both", map[string]string{"10-n.conf": someConf, "10-n.conflist": someList},
			"net.d/10-n.conf: has one plugin and must be made a list, but net.d/10-n.conflist exists already: remove the one that is not used"},
		{"order", map[string]string{"10-n.conf": someConf, "10-n.conf.json": someConf},
			"net.d/10-n.conf: has one plugin and must be made a list, but 10-n.conflist would not be the first configuration any more: rename one of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, tt.files)
			before := h.files(t)
			_, _, err := h.installer(t).Install()
			if err == nil {
				t.Fatal("it was installed")
			}
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(err.Error(), filepath.Dir(h.conf)+"/", "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			after := h.files(t)
			delete(after, "bin/tierwall")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
	t.Run("link to elsewhere", func(t *testing.T) {
		h := newHost(t, nil)
		elsewhere := filepath.Join(t.TempDir(), "x")
		h.write(t, elsewhere, someList)
		if err := os.Symlink(elsewhere, filepath.Join(h.conf, "10-n.conflist")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.installer(t).Install(); err == nil || !strings.Contains(err.Error(), "is a link to "+elsewhere) {
			t.Errorf("%v", err)
		}
	})
	t.Run("link to a neighbour", func(t *testing.T) {
		h := newHost(t, map[string]string{"real": someList})
		if err := os.Symlink("real", filepath.Join(h.conf, "10-n.conflist")); err != nil {
			t.Fatal(err)
		}
		mustInstall(t, h.installer(t))
		if !strings.Contains(h.read(t, "real"), "tierwall") {
			t.Error("it is not in the file that the link leads to")
		}
	})
	t.Run("configuration of the plugin", func(t *testing.T) {
		for want, cfg := range map[string]InstallerConfig{
			`configuration of the CNI plugin: timeout "1h0m0s": expected 1s to 1m50s, as in "20s"`:             {Timeout: time.Hour},
			`configuration of the CNI plugin: socket "x": expected an absolute path of at most 107 characters`: {Socket: "x"},
			`configuration of the CNI plugin: exemptNamespaces[0] "": expected the name of a namespace`:        {ExemptNamespaces: []string{""}},
		} {
			if _, err := NewInstaller(cfg); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
}

// TestUninstallCRIO holds that the program stays while CRI-O needs it.
func TestUninstallCRIO(t *testing.T) {
	h := newHost(t, map[string]string{"10-n.conflist": someList})
	s := startServer(t, testSocket(t), newTables(true))
	p := testPod("c1", "a", "10.0.0.1")
	p.Runtime = "crio"
	if err := s.add(t, p); err != nil {
		t.Fatal(err)
	}
	i := h.installer(t, func(c *InstallerConfig) { c.Socket = s.socket })
	mustInstall(t, i)
	for round, want := range []bool{true, false} {
		if err := i.Uninstall(); err != nil {
			t.Fatal(err)
		}
		got := h.files(t)
		if _, there := got["bin/tierwall"]; there != want || strings.Contains(got["net.d/10-n.conflist"], "tierwall") {
			t.Errorf("round %d: %v", round, got)
		}
		if err := s.dir.Remove(p.Attachment); err != nil {
			t.Fatal(err)
		}
	}
}
