package kubeclient_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/kubeclient"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: one, cluster: {server: "https://192.0.2.1:6443"}}
- {name: two, cluster: {server: "https://192.0.2.2:6443"}}
contexts:
- {name: one, context: {cluster: one, user: u}}
- {name: two, context: {cluster: two, user: u}}
- {name: broken, context: {cluster: none, user: u}}
users:
- {name: u, user: {token: secret}}
`

// TestConfig checks which server is found, and what is said where there is none.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	bad := filepath.Join(dir, "bad")
	for name, text := range map[string]string{good: kubeconfig, bad: "apiVersion: [", filepath.Join(dir, "empty"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, tt := range []struct {
		name, env  string
		options    kubeclient.Options
		want, fail string
	}{
		{name: "the file", options: kubeclient.Options{Kubeconfig: good}, want: "https://192.0.2.1:6443"},
		{name: "its other context", options: kubeclient.Options{Kubeconfig: good, Context: "two"}, want: "https://192.0.2.2:6443"},
		{name: "the environment", env: good, want: "https://192.0.2.1:6443"},
		{name: "no context of it", options: kubeclient.Options{Kubeconfig: good, Context: "three"}, fail: `kubeconfig: context "three" does not exist`},
		{name: "a broken context", options: kubeclient.Options{Kubeconfig: good, Context: "broken"}, fail: `kubeconfig: context "broken" names no cluster that has a server`},
		{name: "no such file", options: kubeclient.Options{Kubeconfig: filepath.Join(dir, "none")}, fail: "no such file"},
		{name: "a file that is none", options: kubeclient.Options{Kubeconfig: bad}, fail: "kubeconfig: "},
		{name: "an empty file", options: kubeclient.Options{Kubeconfig: filepath.Join(dir, "empty")}, fail: "no Kubernetes API server is known: name a kubeconfig file with --kubeconfig or $KUBECONFIG"},
		{name: "nothing", env: filepath.Join(dir, "none"), fail: "no Kubernetes API server is known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			cfg, err := kubeclient.Config(tt.options)
			switch {
			case tt.fail != "":
				if err == nil || !strings.Contains(err.Error(), tt.fail) {
					t.Errorf("got %v, want %q", err, tt.fail)
				}
			case err != nil:
				t.Error(err)
			case cfg.Host != tt.want || cfg.BearerToken != "secret" || cfg.QPS != 20 || cfg.Burst != 40:
				t.Errorf("got %v", cfg)
			}
		})
	}
}

// TestVariants checks that variants are copies, and what they differ in.
func TestVariants(t *testing.T) {
	cfg := &rest.Config{Host: "https://192.0.2.1"}
	named := kubeclient.Named(cfg, kubeclient.Options{Component: "agent", Version: "v1.2.3", QPS: 7, Burst: 9})
	if !strings.HasPrefix(named.UserAgent, "tierwall-agent/v1.2.3 (") || named.QPS != 7 || named.Burst != 9 {
		t.Errorf("named: %v", named)
	}
	if got := kubeclient.UserAgent("", ""); !strings.HasPrefix(got, "tierwall/unknown (") {
		t.Errorf("user agent %q", got)
	}
	proto := kubeclient.WithProtobuf(cfg)
	if proto.ContentType != "application/vnd.kubernetes.protobuf" || proto.AcceptContentTypes != "application/vnd.kubernetes.protobuf,application/json" {
		t.Errorf("protobuf: %v", proto)
	}
	if limited := kubeclient.WithTimeout(cfg); limited.Timeout != kubeclient.RequestTimeout {
		t.Errorf("timeout: %v", limited)
	}
	if d := cmp.Diff(&rest.Config{Host: "https://192.0.2.1"}, cfg); d != "" {
		t.Errorf("the original changed:\n%s", d)
	}
}
