package input

import (
	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/cli/flags"
)

// CiliumFlags say what Cilium's policies tell apart, and their files do not.
type CiliumFlags struct {
	nodes, servers flags.Prefixes
}

func (f *CiliumFlags) register(cmd *cobra.Command) {
	cmd.Flags().Var(&f.nodes, "node-cidr", "for Cilium's policies: addresses of nodes, beside those that the files tell; may be repeated")
	cmd.Flags().Var(&f.servers, "apiserver-cidr", "for Cilium's policies: addresses of the API server, beside those that the files tell; may be repeated")
	for _, flag := range []string{"node-cidr", "apiserver-cidr"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

// Options returns what a conversion of Cilium's policies knows beside them.
func (f *CiliumFlags) Options() cilium.Options {
	return cilium.Options{Nodes: f.nodes, APIServer: f.servers}
}
