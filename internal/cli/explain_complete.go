package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/policy"
)

// completeEnd lists the ends that the files given so far hold, for shells.
func (o *explainOptions) completeEnd(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if slices.Contains(o.input.paths, "-") {
		return nil, cobra.ShellCompDirectiveNoFileComp // the shell reads standard input
	}
	in, err := o.input.read(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, ep := range in.Model.Endpoints {
		if ep.Key.Kind == policy.KindPod {
			names = append(names, ep.Key.Namespace+"/"+ep.Key.Name)
		} else {
			names = append(names, ep.Key.String())
		}
	}
	for _, n := range in.Model.Nodes {
		names = append(names, "node/"+n.Name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
