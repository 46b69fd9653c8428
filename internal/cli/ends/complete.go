package ends

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/policy"
)

// Complete lists the ends that the files or the store given so far hold, for shells.
func Complete(f *input.Flags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, f, word)
	}
}

func complete(cmd *cobra.Command, f *input.Flags, word string) ([]string, cobra.ShellCompDirective) {
	if slices.Contains(f.Paths, "-") {
		return nil, cobra.ShellCompDirectiveNoFileComp // the shell reads standard input
	}
	ctx, cancel := context.WithTimeout(input.ContextOf(cmd), input.CompletionTimeout)
	defer cancel()
	cmd.SetContext(ctx)
	if f.Complete(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if f.Store.Kind() == open.KindKube {
		return completeInCluster(ctx, f.Store, word)
	}
	in, err := f.Read(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, ep := range in.Model.Endpoints {
		if ep.Key.Kind == policy.KindPod {
			names = append(names, ep.Key.Namespace+"/"+ep.Key.Name)
		} else {
			names = append(names, Name(ep.Key))
		}
	}
	for _, n := range in.Model.Nodes {
		names = append(names, "node/"+n.Name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeInCluster looks names up as they are typed: namespaces first, then the
// pods of one. A cluster has too many pods to list them all for a key press.
func completeInCluster(ctx context.Context, flags *open.Flags, word string) ([]string, cobra.ShellCompDirective) {
	namespace, _, hasSlash := strings.Cut(word, "/")
	switch {
	case !hasSlash:
		names := append(input.ClusterNames(ctx, flags, "namespaces", ""), "node")
		for i := range names {
			names[i] += "/"
		}
		return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	case namespace == "node":
		return prefixed("node/", input.ClusterNames(ctx, flags, "nodes", "")), cobra.ShellCompDirectiveNoFileComp
	}
	return prefixed(namespace+"/", input.ClusterNames(ctx, flags, "pods", namespace)), cobra.ShellCompDirectiveNoFileComp
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}
