package input

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/store"
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

// ciliumInput is what analyses see of resources: in the place of Cilium's policies
// what these are converted to. What cannot be expressed is an error: the answer would
// be another one without.
type ciliumInput struct {
	all      []store.Resource
	findings []store.Finding
}

func (f *CiliumFlags) convert(resources []store.Resource) ciliumInput {
	if !slices.ContainsFunc(resources, func(r store.Resource) bool { return cilium.Is(&r) }) {
		return ciliumInput{all: resources}
	}
	result := cilium.Convert(resources, f.Options())
	out := ciliumInput{findings: slices.Concat(result.Invalid, result.Lost, result.Notes)}
	for i := range resources {
		if !cilium.Is(&resources[i]) {
			out.all = append(out.all, resources[i])
		}
	}
	out.all = append(out.all, result.Resources...)
	return out
}
