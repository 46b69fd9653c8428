package command

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// KubectlPlugin is the name under which kubectl finds the program as a plugin.
const KubectlPlugin = "kubectl-tierwall"

// ProgramName returns the name that the program goes by: kubectl-tierwall as a
// plugin of kubectl, tierwall under any other name.
func ProgramName(argv0 string) string {
	if strings.TrimSuffix(filepath.Base(argv0), ".exe") == KubectlPlugin {
		return KubectlPlugin
	}
	return "tierwall"
}

// IsKubectlPlugin reports whether kubectl runs the command: then what is read is
// the cluster, unless -f says otherwise.
func IsKubectlPlugin(cmd *cobra.Command) bool { return cmd.Root().Name() == KubectlPlugin }
