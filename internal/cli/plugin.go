package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
)

// asPlugin makes help speak of `kubectl tierwall`, as its users write it.
func asPlugin(root *cobra.Command) {
	root.Use = command.KubectlPlugin
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
