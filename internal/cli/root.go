// Package cli is the command line. It only puts the commands together: each has a package
// below, whose NewCommand makes it, and commands.go lists them. What they share is in packages
// beside them: command (exit codes, errors of usage), input (what is read), ends (the ends of
// connections), flags, kinds and output.
//
// Within a command the order is kubectl's: its options are registered as flags, completed,
// validated, and then it runs. Commands read through cmd.InOrStdin, write through
// cmd.OutOrStdout and cmd.ErrOrStderr, and end with command.ExitWith.
package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/options"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/printable"
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
	if command.ProgramName(argv0) == command.KubectlPlugin {
		asPlugin(root)
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(stderr, "Error:", printable.Lines(err.Error()))
	}
	return command.ExitCode(err)
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
		Args:          command.NoUnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true, // a page of help would hide the error
	}
	root.SetFlagErrorFunc(command.FlagError)
	root.SetUsageTemplate(options.UsageTemplate(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	root.Version = version.Get().String() // --version, as people try it first
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(groups...)
	for _, c := range commands {
		cmd := c.make()
		cmd.GroupID = c.group
		root.AddCommand(cmd)
	}
	help := newHelpCommand()
	help.GroupID = groupOther
	root.AddCommand(help)
	root.SetHelpCommand(help)
	return root
}
