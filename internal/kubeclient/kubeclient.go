// Package kubeclient makes clients of a Kubernetes API server as all parts of
// tierwall have them: who they say they are, how long they wait, and that they
// speak protobuf where the server does.
package kubeclient

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"time"

	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Options says which API server, and who asks.
type Options struct {
	// Kubeconfig is the path of a kubeconfig file. If it is empty, those of
	// $KUBECONFIG count, else ~/.kube/config, else the service account of the pod
	// that this process runs in.
	Kubeconfig string
	// Context is the context of the kubeconfig file; empty: its current one.
	Context string
	// Component is the part of tierwall that asks ("agent", "controller", "cli"):
	// audit logs and flow control of the API server know it by this name.
	Component string
	// Version is that of the binary; empty: "unknown".
	Version string
	// QPS and Burst bound the requests per second; 0: 20 and 40. Streams are no requests
	// in this sense.
	QPS   float32
	Burst int
}

// Defaults of Options, and the time that any single request may take. Watches
// end by themselves and have no such limit.
const (
	defaultQPS     = 20
	defaultBurst   = 40
	RequestTimeout = 30 * time.Second
)

// Content types of the API.
const (
	JSON     = kruntime.ContentTypeJSON
	Protobuf = kruntime.ContentTypeProtobuf
)

// Config finds the API server and how to authenticate there. It does not
// connect. The configuration asks for JSON; see WithProtobuf.
func Config(o Options) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	// Unlike kubectl's, no guess: without any configuration localhost:8080 is no server of ours.
	overrides.ClusterDefaults = clientcmdapi.Cluster{}
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	cfg, err := loading.ClientConfig()
	raw, rawErr := loading.RawConfig()
	switch {
	case clientcmd.IsEmptyConfig(err) && rawErr == nil && len(raw.Contexts) > 0:
		return nil, fmt.Errorf("kubeconfig: context %q names no cluster that has a server: choose another one, or fix it", cmp.Or(o.Context, raw.CurrentContext))
	case clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster):
		return nil, errors.New("no Kubernetes API server is known: name a kubeconfig file with --kubeconfig or $KUBECONFIG, or run in a pod that has a service account")
	case err != nil:
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return Named(cfg, o), nil
}

// Named returns a copy of a configuration with what the options say of who asks,
// and how often.
func Named(cfg *rest.Config, o Options) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.UserAgent = UserAgent(o.Component, o.Version)
	out.QPS, out.Burst = defaultQPS, defaultBurst
	if o.QPS != 0 {
		out.QPS = o.QPS
	}
	if o.Burst != 0 {
		out.Burst = o.Burst
	}
	return out
}

// UserAgent returns "tierwall-agent/v1.2.3 (linux/amd64)".
func UserAgent(component, version string) string {
	name := "tierwall"
	if component != "" {
		name += "-" + component
	}
	if version == "" {
		version = "unknown"
	}
	return fmt.Sprintf("%s/%s (%s/%s)", name, version, runtime.GOOS, runtime.GOARCH)
}

// WithProtobuf returns a copy of a configuration for clients of Kubernetes' own
// kinds, which the server also speaks in protobuf: a quarter of the work of JSON on both
// sides. Custom resources are JSON only.
func WithProtobuf(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.ContentType = Protobuf
	out.AcceptContentTypes = Protobuf + "," + JSON
	return out
}

// WithTimeout returns a copy of a configuration whose requests end after
// RequestTimeout. It is not for clients that watch.
func WithTimeout(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Timeout = RequestTimeout
	return out
}
