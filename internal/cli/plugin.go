package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// kubectlPlugin is the name under which kubectl finds the program as a plugin.
const kubectlPlugin = "kubectl-tierwall"

// programName returns the name that the program goes by: kubectl-tierwall as a
// plugin of kubectl, tierwall under any other name.
func programName(argv0 string) string {
	if strings.TrimSuffix(filepath.Base(argv0), ".exe") == kubectlPlugin {
		return kubectlPlugin
	}
	return "tierwall"
}

// isKubectlPlugin reports whether kubectl runs the command: then what is read is
// the cluster, unless -f says otherwise.
func isKubectlPlugin(cmd *cobra.Command) bool { return cmd.Root().Name() == kubectlPlugin }

// asPlugin makes help speak of `kubectl tierwall`, as its users write it.
func asPlugin(root *cobra.Command) {
	root.Use = kubectlPlugin
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl tierwall"}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Example = pluginText(cmd.Example)
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

// pluginText writes examples as they are for kubectl.
func pluginText(example string) string {
	var lines []string
	for line := range strings.Lines(example) {
		for _, before := range []string{"  ", "| ", "(", "sudo "} {
			line = strings.ReplaceAll(line, before+"tierwall ", before+"kubectl tierwall ")
		}
		// The cluster is what a plugin reads.
		line = strings.ReplaceAll(line, " --store kube", "")
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}
