package cli

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
)

// ciliumFlags say what Cilium's policies tell apart, and their files do not.
type ciliumFlags struct {
	nodes, servers prefixes
}

func (f *ciliumFlags) register(cmd *cobra.Command) {
	cmd.Flags().Var(&f.nodes, "node-cidr", "for Cilium's policies: addresses of nodes, beside those that the files tell; may be repeated")
	cmd.Flags().Var(&f.servers, "apiserver-cidr", "for Cilium's policies: addresses of the API server, beside those that the files tell; may be repeated")
	for _, flag := range []string{"node-cidr", "apiserver-cidr"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

func (f *ciliumFlags) options() cilium.Options {
	return cilium.Options{Nodes: f.nodes, APIServer: f.servers}
}

// prefixes is a flag of CIDRs and addresses.
type prefixes []netip.Prefix

var _ pflag.Value = (*prefixes)(nil)

func (p *prefixes) String() string { return "" }

// Type names what the flag takes.
func (p *prefixes) Type() string { return "CIDR" }

// Set adds one.
func (p *prefixes) Set(text string) error {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		*p = append(*p, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("expected a CIDR such as 192.0.2.0/24, or an address")
	}
	*p = append(*p, n.Masked())
	return nil
}

// ciliumInput is what analyses see of resources: in the place of Cilium's policies
// what these are converted to. What cannot be expressed is an error: the answer would
// be another one without.
type ciliumInput struct {
	all      []store.Resource
	findings []store.Finding
}

func (f *ciliumFlags) convert(resources []store.Resource) ciliumInput {
	if !slices.ContainsFunc(resources, func(r store.Resource) bool { return cilium.Is(&r) }) {
		return ciliumInput{all: resources}
	}
	result := cilium.Convert(resources, f.options())
	out := ciliumInput{findings: slices.Concat(result.Invalid, result.Lost, result.Notes)}
	for i := range resources {
		if !cilium.Is(&resources[i]) {
			out.all = append(out.all, resources[i])
		}
	}
	out.all = append(out.all, result.Resources...)
	return out
}
