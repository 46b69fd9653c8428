// Package completion is `tierwall completion`.
package completion

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/suggest"
)

// kubectlCompletion is what kubectl runs to complete the arguments of a plugin:
// a program kubectl_complete-NAME, which answers as cobra's own __complete does.
const kubectlCompletion = `#!/usr/bin/env sh
# kubectl completes "kubectl tierwall" with this program: save it under the name
# kubectl_complete-tierwall, executable, in a directory of $PATH.
exec kubectl-tierwall __complete "$@"
`

// NewCommand returns `tierwall completion`.
func NewCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell", "kubectl"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell|kubectl",
		Short: "Print a script that completes commands and flags in a shell",
		Long: `Print a script that makes a shell complete tierwall's commands, flags and the
values of flags: those that have a fixed set of them, and the names of pods and
namespaces, from the files or the cluster that the command names. The shell must
read it at start.

For the plugin of kubectl, kubectl wants a program of its own beside it.`,
		Example: `  # bash, for this session
  source <(tierwall completion bash)

  # bash, for every session; needs the package bash-completion, which reads it when it is needed
  tierwall completion bash > ~/.local/share/bash-completion/completions/tierwall

  # zsh: a file named _tierwall in a directory of $fpath
  tierwall completion zsh > ~/.zsh/completions/_tierwall

  # fish
  tierwall completion fish > ~/.config/fish/completions/tierwall.fish

  # PowerShell
  tierwall completion powershell | Out-String | Invoke-Expression

  # kubectl tierwall, with kubectl's own completion
  tierwall completion kubectl > /usr/local/bin/kubectl_complete-tierwall
  chmod +x /usr/local/bin/kubectl_complete-tierwall`,
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.UsageError(cmd, fmt.Errorf("expected the name of one shell: %s", suggest.OrList(shells)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				if _, err := io.WriteString(out, bashFallback); err != nil {
					return err
				}
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			case "kubectl":
				_, err := io.WriteString(out, kubectlCompletion)
				return err
			}
			return command.UsageError(cmd, fmt.Errorf("unknown shell %q: expected %s%s", args[0], suggest.OrList(shells), suggest.DidYouMean(args[0], shells)))
		},
	}
}
