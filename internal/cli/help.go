package cli

import (
	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
)

// newHelpCommand returns `tierwall help`, which is cobra's but for commands that do not
// exist: these are errors, with what was probably meant.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what a command does, with examples",
		Long: `Show what a command does, with examples and all its flags: the same as --help after
the command.`,
		Example: `  tierwall help explain
  tierwall help agent verify`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return command.UsageError(cmd, err)
			}
			if len(rest) > 0 {
				return command.NoUnknownCommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// completeCommands lists the commands that may come next, for shells.
func completeCommands(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	found, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range found.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name()+"\t"+c.Short)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
