package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/policy"
)

// A shell waits while we look names up, and a person for the shell.
const (
	completionTime = 5 * time.Second
	maxCompletions = 1000
)

// completeEnd lists the ends that the files or the store given so far hold, for shells.
func (o *explainOptions) completeEnd(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	if slices.Contains(o.input.paths, "-") {
		return nil, cobra.ShellCompDirectiveNoFileComp // the shell reads standard input
	}
	ctx, cancel := context.WithTimeout(contextOf(cmd), completionTime)
	defer cancel()
	cmd.SetContext(ctx)
	if o.input.settle(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if o.input.store.Kind() == open.KindKube {
		return completeInCluster(ctx, o.input.store, word)
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
			names = append(names, writtenEnd(ep.Key))
		}
	}
	for _, n := range in.Model.Nodes {
		names = append(names, "node/"+n.Name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// completeInCluster looks names up as they are typed: namespaces first, then the
// pods of one. A cluster has too many pods to list them all for a key press.
func completeInCluster(ctx context.Context, flags *open.Flags, word string) ([]string, cobra.ShellCompDirective) {
	namespace, _, hasSlash := strings.Cut(word, "/")
	switch {
	case !hasSlash:
		names := append(clusterNames(ctx, flags, "namespaces", ""), "node")
		for i := range names {
			names[i] += "/"
		}
		return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	case namespace == "node":
		return prefixed("node/", clusterNames(ctx, flags, "nodes", "")), cobra.ShellCompDirectiveNoFileComp
	}
	return prefixed(namespace+"/", clusterNames(ctx, flags, "pods", namespace)), cobra.ShellCompDirectiveNoFileComp
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

// clusterNames returns the names of a kind's objects; nil if they cannot be had:
// there is nobody to tell why.
func clusterNames(ctx context.Context, flags *open.Flags, resource, namespace string) []string {
	cfg, err := flags.RESTConfig()
	if err != nil {
		return nil
	}
	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil
	}
	of := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource})
	list, err := of.Namespace(namespace).List(ctx, metav1.ListOptions{Limit: maxCompletions})
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	slices.Sort(names)
	return names
}

// completeNamespace lists the namespaces of what the flags given so far name.
func (f *inputFlags) completeNamespace(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(contextOf(cmd), completionTime)
	defer cancel()
	cmd.SetContext(ctx)
	f.namespace = ""
	if f.settle(cmd) != nil || slices.Contains(f.paths, "-") {
		return nil, nothing
	}
	if f.store.Kind() == open.KindKube {
		return clusterNames(ctx, f.store, "namespaces", ""), nothing
	}
	in, err := f.read(cmd)
	if err != nil {
		return nil, nothing
	}
	return namespaces(in.Model), nothing
}

// completeConnection completes what a kubeconfig holds, and the kinds of stores.
func completeConnection(cmd *cobra.Command, flags *open.Flags) {
	complete := func(flag string, names func() []string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return names(), cobra.ShellCompDirectiveNoFileComp
		})
	}
	for flag, of := range map[string]func() []string{"context": flags.Contexts, "cluster": flags.Clusters, "user": flags.Users} {
		complete(flag, of)
	}
	_ = cmd.RegisterFlagCompletionFunc("store", func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		if strings.HasPrefix(word, open.KindFiles+":") {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		return []string{open.KindFiles + ":", open.KindKube, open.KindEtcd + ":https://"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
}
