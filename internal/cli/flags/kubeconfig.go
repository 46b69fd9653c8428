package flags

import (
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/kubeclient"
)

// Kubeconfig are the flags of commands that work on one cluster, and on nothing else.
type Kubeconfig struct {
	path, context string
}

// Register adds the flags.
func (o *Kubeconfig) Register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.path, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, else ~/.kube/config, else the pod's service account)")
	cmd.Flags().StringVar(&o.context, "context", "", "context of the kubeconfig file (default: its current one)")
}

// Config returns how a component of tierwall reaches the cluster.
func (o *Kubeconfig) Config(component string) (*rest.Config, error) {
	return kubeclient.Config(kubeclient.Options{
		Kubeconfig: o.path, Context: o.context, Component: component, Version: version.Get().Version,
	})
}
