package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPluginComesEarly holds that the CNI plugin, which is run for every pod, ends before what it
// does not need is initialised. This test is the program, its imports included.
func TestPluginComesEarly(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CNI_COMMAND=VERSION", "GODEBUG=inittrace=1")
	var out, trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"supportedVersions"`) {
		t.Errorf("it is not the plugin: %s", out.String())
	}
	for _, heavy := range []string{"net/http", "k8s.io/client-go/kubernetes/scheme", "github.com/prometheus/client_golang/prometheus", "github.com/tierwall/tierwall/internal/translate"} {
		if strings.Contains(trace.String(), "init "+heavy+" ") {
			t.Errorf("%s is initialised before the plugin: it must not be among what the plugin imports", heavy)
		}
	}
	if !strings.Contains(trace.String(), "init runtime ") {
		t.Errorf("there is no trace: %s", trace.String())
	}
}
