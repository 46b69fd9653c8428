package open

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/internal/suggest"
)

// RESTConfig returns the way to the API server: as the flags say, or as kubectl
// finds it ($KUBECONFIG, ~/.kube/config), or as a pod does. It is the caller's.
func (f *Flags) RESTConfig() (*rest.Config, error) {
	cfg, err := f.Kube.ToRESTConfig()
	if err != nil {
		return nil, f.configError(err)
	}
	if *f.Kube.APIServer == "" && strings.HasSuffix(cfg.Host, "localhost:8080") && len(f.kubeconfig().Clusters) == 0 {
		return nil, f.configError(clientcmd.ErrEmptyConfig) // kubectl's guess of old
	}
	cfg.UserAgent = f.UserAgent
	if cfg.UserAgent == "" {
		cfg.UserAgent = "tierwall"
	}
	return cfg, nil
}

func openKube(f *Flags) (store.Source, error) {
	cfg, err := f.RESTConfig()
	if err != nil {
		return nil, err
	}
	opts := f.KubeOptions
	if opts.Log == nil {
		opts.Log = f.Log
	}
	return kube.New(cfg, opts)
}

// Namespace returns the namespace that kubectl would work in: that of the
// kubeconfig's context, or "default".
func (f *Flags) Namespace() (string, error) {
	namespace, _, err := f.Kube.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", f.configError(err)
	}
	return namespace, nil
}

// configError says why it is unknown how to reach a cluster.
func (f *Flags) configError(err error) error {
	if name := *f.Kube.Context; name != "" && clientcmd.IsContextNotFound(err) {
		return fmt.Errorf("--store kube: --context %s: the kubeconfig has no such context%s", name, suggest.Several(name, f.Contexts()))
	}
	if errors.Is(err, genericclioptions.ErrEmptyConfig) || clientcmd.IsEmptyConfig(err) {
		return errors.New("--store kube: no cluster is known: --kubeconfig, $KUBECONFIG and ~/.kube/config name none, and this is no pod of one")
	}
	return fmt.Errorf("--store kube: how to reach the cluster: %w", err)
}

// Contexts returns the names of the kubeconfig's contexts, for completion; Clusters
// and Users do the same for theirs.
func (f *Flags) Contexts() []string { return names(f.kubeconfig().Contexts) }

// Clusters is like Contexts.
func (f *Flags) Clusters() []string { return names(f.kubeconfig().Clusters) }

// Users is like Contexts.
func (f *Flags) Users() []string { return names(f.kubeconfig().AuthInfos) }

func (f *Flags) kubeconfig() api.Config {
	cfg, _ := f.Kube.ToRawKubeConfigLoader().RawConfig() // unreadable: there is nothing to complete
	return cfg
}

func names[T any](of map[string]T) []string { return slices.Sorted(maps.Keys(of)) }
