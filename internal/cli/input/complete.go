package input

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
	CompletionTimeout = 5 * time.Second
	maxCompletions    = 1000
)

// ContextOf returns the context of a command; completion may have none.
func ContextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// ClusterNames returns the names of a kind's objects; nil if they cannot be had:
// there is nobody to tell why.
func ClusterNames(ctx context.Context, flags *open.Flags, resource, namespace string) []string {
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

// CompleteNamespace lists the namespaces of what the flags given so far name.
func (f *Flags) CompleteNamespace(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(ContextOf(cmd), CompletionTimeout)
	defer cancel()
	cmd.SetContext(ctx)
	f.Namespace = ""
	if f.Complete(cmd) != nil || slices.Contains(f.Paths, "-") {
		return nil, nothing
	}
	if f.Store.Kind() == open.KindKube {
		return ClusterNames(ctx, f.Store, "namespaces", ""), nothing
	}
	in, err := f.Read(cmd)
	if err != nil {
		return nil, nothing
	}
	return Namespaces(in.Model), nothing
}

// CompleteConnection completes what a kubeconfig holds, and the kinds of stores.
func CompleteConnection(cmd *cobra.Command, flags *open.Flags) {
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

// Namespaces returns the namespaces that endpoints of a model are in.
func Namespaces(m *policy.Model) []string {
	var names []string
	for _, ep := range m.Endpoints {
		if ep.Key.Namespace != "" {
			names = append(names, ep.Key.Namespace)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
