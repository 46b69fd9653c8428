package flags

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/suggest"
)

// Complete has shells complete a flag with the values that it may have, or usually has.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CheckOneOf refuses a value of a flag that is none of those it may have.
func CheckOneOf(cmd *cobra.Command, flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return command.UsageError(cmd, fmt.Errorf("--%s %s: expected %s%s", flag, value, suggest.OrList(values), suggest.DidYouMean(value, values)))
}
