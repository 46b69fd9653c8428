package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/suggest"
)

func newCompletionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands and flags in a shell",
		Long: `Print a script that makes a shell complete tierwall's commands, flags and the
values of flags that have a fixed set of them. The shell must read it at start.`,
		Example: `  # bash, for this session; needs the bash-completion package
  source <(tierwall completion bash)

  # bash, for every session
  tierwall completion bash > ~/.local/share/bash-completion/completions/tierwall

  # zsh: a file named _tierwall in a directory of $fpath
  tierwall completion zsh > ~/.zsh/completions/_tierwall

  # fish
  tierwall completion fish > ~/.config/fish/completions/tierwall.fish

  # PowerShell
  tierwall completion powershell | Out-String | Invoke-Expression`,
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, fmt.Errorf("expected the name of one shell: %s", suggest.OrList(shells)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usageError(cmd, fmt.Errorf("unknown shell %q: expected %s", args[0], suggest.OrList(shells)))
		},
	}
}
