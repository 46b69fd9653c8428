package agentcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/output"
)

// modes are the flags that status, verify and remove were before they were subcommands. They
// work as before, and are in no help: scripts have them, and the DaemonSets of earlier releases
// are uninstalled by them.
type modes struct {
	status, verify, remove bool
	format                 string
}

func (m *modes) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&m.status, "status", false, "deprecated: tierwall agent status")
	f.BoolVar(&m.verify, "verify", false, "deprecated: tierwall agent verify")
	f.BoolVar(&m.remove, "remove", false, "deprecated: tierwall agent remove")
	output.AddFlag(cmd, &m.format, "text", "json")
	cmd.MarkFlagsMutuallyExclusive("remove", "verify", "status")
	for _, flag := range []string{"status", "verify", "remove", "output"} {
		_ = f.MarkHidden(flag)
	}
}

// any reports whether the agent is not to run.
func (m *modes) any() bool { return m.status || m.verify || m.remove }

// run does what a subcommand does now, with the flags of the agent.
func (m *modes) run(cmd *cobra.Command, o *options) error {
	switch {
	case m.status:
		return m.instead(cmd, "status", &statusOptions{o.metricsAddr, m.format})
	case m.verify:
		return m.instead(cmd, "verify", &verifyOptions{o.source, o.host, o.guards, o.dns, o.runDir, o.log, m.format})
	}
	return m.instead(cmd, "remove", &removeOptions{o.runDir, o.cni.cniPlace, o.log})
}

// instead says which subcommand it is now. Standard output stays as it was.
func (m *modes) instead(cmd *cobra.Command, name string, o interface{ run(*cobra.Command) error }) error {
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "--%s is deprecated: use %s %s\n", name, cmd.CommandPath(), name)
	if err != nil {
		return err
	}
	return o.run(cmd)
}
