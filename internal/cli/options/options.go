// Package options is `tierwall options`, and keeps the flags that it lists out of the help of
// all other commands.
package options

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/store/open"
)

// The flags of connections are many, and most users need none: the help of a
// command leaves them to `tierwall options`, as kubectl does.

// helpWidth is how wide help may be, in characters.
const helpWidth = 100

// NewCommand returns `tierwall options`.
func NewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "List the flags that say how to reach a cluster or etcd",
		Long: `List the flags that say how to reach a store. All commands that have --store have
them, too.

A cluster is found as kubectl finds it: by --kubeconfig, $KUBECONFIG or
~/.kube/config, or from inside one of its pods. The password of a user of etcd is
in a file or in the environment, never on the command line, which others see.`,
		Example: `  tierwall options
  tierwall validate --store kube --context staging
  tierwall validate --store etcd:https://10.0.0.1:2379 --etcd-cacert ca.crt --etcd-username me`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printConnectionFlags(cmd.OutOrStdout()) },
	}
}

func printConnectionFlags(w io.Writer) error {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	open.NewFlags().RegisterConnection(all)
	for _, section := range []struct{ kind, title string }{
		{open.KindKube, "Kubernetes, with --store kube (they are kubectl's):"},
		{open.KindEtcd, "etcd, with --store etcd:https://HOST:2379[,https://HOST:2379][/PREFIX]:"},
	} {
		usages := flagsOf(all, section.kind).FlagUsagesWrapped(helpWidth)
		if _, err := fmt.Fprintf(w, "%s\n%s\n", section.title, strings.TrimRight(usages, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// flagsOf returns the flags of connections to a kind of store; "" for all others.
func flagsOf(flags *pflag.FlagSet, kind string) *pflag.FlagSet {
	out := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if open.ConnectionKind(f) == kind {
			out.AddFlag(f)
		}
	})
	return out
}

func init() {
	cobra.AddTemplateFunc("commandFlags", func(cmd *cobra.Command) string {
		return strings.TrimRight(flagsOf(cmd.LocalFlags(), "").FlagUsagesWrapped(helpWidth), "\n")
	})
	cobra.AddTemplateFunc("connectionHint", func(cmd *cobra.Command) string {
		if cmd.Flags().Lookup("store") == nil || !flagsOf(cmd.Flags(), open.KindKube).HasFlags() {
			return ""
		}
		return fmt.Sprintf("\n\nHow to reach a cluster or etcd (--kubeconfig, --context, --etcd-cacert, ...): %s options", cmd.Root().CommandPath())
	})
}

// UsageTemplate is cobra's, without the flags of connections.
func UsageTemplate(standard string) string {
	const flags = "{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	return strings.Replace(standard, flags, "{{commandFlags .}}{{connectionHint .}}", 1)
}
