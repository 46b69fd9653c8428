// Package cli is the command line: one file or a few per command, each made by
// a constructor that commands.go lists. Commands read through cmd.InOrStdin,
// write through cmd.OutOrStdout and cmd.ErrOrStderr, and end with exitWith.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/suggest"
)

// Run executes the command line given by args (without the program's name) and
// gives the exit code of the process. Errors are printed once, on stderr, as
// "Error: ...". A context that ends interrupts the command.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return RunAs(ctx, "tierwall", args, stdin, stdout, stderr)
}

// RunAs is Run under the name that the program was called by: as
// kubectl-tierwall it is a plugin of kubectl.
func RunAs(ctx context.Context, argv0 string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	if programName(argv0) == kubectlPlugin {
		asPlugin(root)
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(stderr, "Error:", err)
	}
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tierwall",
		Short: "Who may talk to whom: decided, enforced, explained",
		Long: `tierwall reads network policy as people already write it (Kubernetes NetworkPolicy
and ClusterNetworkPolicy; Calico v3: tiers, global policies, network sets, host
endpoints), decides exactly what it allows, explains each verdict tier by tier,
and makes the Linux kernel obey it.

The commands that analyze read manifests from files (-f), from a cluster
(--store kube) or from etcd, and need no root.`,
		Example: `  # Check manifests, then ask why a connection is denied
  tierwall validate -f policies/
  tierwall explain -f policies/ --from web/frontend-1 --to data/postgres-0 --port 5432

  # The same of the cluster that kubectl is set to
  tierwall explain --store kube --from web/frontend-1 --to data/postgres-0 --port 5432

  # See it decide over real packets on this machine
  tierwall demo`,
		Args:          noUnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true, // a page of help would hide the error
	}
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	root.Version = readBuildInfo().String() // --version, as people try it first
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(groups...)
	root.SetHelpCommandGroupID(groupOther)
	for _, c := range commands {
		cmd := c.make()
		cmd.GroupID = c.group
		root.AddCommand(cmd)
	}
	return root
}

// noUnknownCommand refuses arguments of the root command: a word that stands
// there was meant to be a command.
func noUnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageError(cmd, fmt.Errorf("unknown command %q%s", args[0], suggest.DidYouMean(args[0], names)))
}

// flagError puts what was probably meant beside a flag that does not exist.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		})
		err = fmt.Errorf("%w%s", err, suggest.DidYouMean("--"+unknown.GetSpecifiedName(), names))
	}
	return usageError(cmd, err)
}

// usageError says where the usage of the command is described.
func usageError(cmd *cobra.Command, err error) error {
	return exitWith(exitFailed, fmt.Errorf("%w\nRun '%s --help' for usage", err, cmd.CommandPath()))
}

// noArgs is the Args of commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("file") != nil {
		hint = ": files are given with -f"
	}
	return usageError(cmd, fmt.Errorf("unexpected argument %q%s", strings.Join(args, " "), hint))
}
