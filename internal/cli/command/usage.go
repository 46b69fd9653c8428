package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/suggest"
)

// NoUnknownCommand is the Args of commands that have commands below them: a word that
// stands there was meant to be one of these.
func NoUnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return UsageError(cmd, fmt.Errorf("unknown command %q%s", args[0], suggest.DidYouMean(args[0], names)))
}

// FlagError puts what was probably meant beside a flag that does not exist.
func FlagError(cmd *cobra.Command, err error) error {
	// A command that does not exist has no flags either: the name is the mistake.
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return NoUnknownCommand(cmd, args)
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		})
		err = fmt.Errorf("%w%s", err, suggest.DidYouMean("--"+unknown.GetSpecifiedName(), names))
	}
	return UsageError(cmd, err)
}

// UsageError says where the usage of the command is described.
func UsageError(cmd *cobra.Command, err error) error {
	return ExitWith(ExitFailed, fmt.Errorf("%w\nRun '%s --help' for usage", err, cmd.CommandPath()))
}

// Steps is the RunE of a command without arguments: its steps one after the other, until one
// fails.
func Steps(steps ...func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		for _, step := range steps {
			if err := step(cmd); err != nil {
				return err
			}
		}
		return nil
	}
}

// NoArgs is the Args of commands that take flags only.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("file") != nil {
		hint = ": files are given with -f"
	}
	return UsageError(cmd, fmt.Errorf("unexpected argument %q%s", strings.Join(args, " "), hint))
}
