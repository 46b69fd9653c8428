// Package initcmd is `tierwall init`: manifests to begin with.
package initcmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/suggest"
)

// NewCommand returns `tierwall init`.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write manifests to begin with",
		Long: `Write manifests to begin with, with comments that explain them. They are yours to
read, change and apply.

Exit code 0: written. 2: failed.`,
		Example: `  tierwall init default-deny | kubectl apply -f -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return command.UsageError(cmd, fmt.Errorf("unknown manifests %q%s", args[0], suggest.DidYouMean(args[0], names)))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.UsageError(cmd, errors.New("expected what to write: default-deny"))
		},
	}
	cmd.AddCommand(newInitDefaultDenyCommand())
	return cmd
}
