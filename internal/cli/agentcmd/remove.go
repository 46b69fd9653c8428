package agentcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
)

// removeOptions are the flags of agent remove.
type removeOptions struct {
	runDir string
	cni    cniPlace
	log    flags.Log
}

func newRemoveCommand() *cobra.Command {
	var o removeOptions
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove from this host all that an agent has put there",
		Long: `Removes from this host all that an agent has put there: what it enforces in the
kernel and its files, and the CNI plugin where the flags say that it was installed.
Nothing is enforced from then on. No agent may run meanwhile: end it first.

Exit code: 0 if all is removed, 2 if it fails.`,
		Example: `  # Enforce nothing any more
  sudo tierwall agent remove

  # On a node of a cluster, where the agent has installed the CNI plugin
  sudo tierwall agent remove --cni-socket /run/tierwall/cni.sock \
    --cni-conf-dir /etc/cni/net.d --cni-bin-dir /opt/cni/bin`,
		Args: command.NoArgs,
		RunE: command.Steps(o.validate, o.run),
	}
	cmd.Flags().StringVar(&o.runDir, "run-dir", defaultRunDir, "directory of the agent's files")
	_ = cmd.MarkFlagDirname("run-dir")
	o.cni.registerRemoval(cmd)
	o.log.Register(cmd)
	return cmd
}

func (o *removeOptions) validate(cmd *cobra.Command) error {
	if err := o.log.Validate(cmd); err != nil {
		return err
	}
	return o.cni.validate(cmd)
}

func (o *removeOptions) run(cmd *cobra.Command) error {
	if err := agent.Privileged(); err != nil {
		return err
	}
	log := o.log.Logger(cmd.ErrOrStderr())
	cfg := agent.Config{
		RunDir: o.runDir, Log: log,
		Open: agent.OpenKernel(log, nft.Logging{}, dataplane.HostSettings{}, dataplane.GuardSettings{}, nil),
	}
	if err := o.cni.install(&cfg, cni.InstallerConfig{Log: log}); err != nil {
		return err
	}
	if err := agent.Remove(cmd.Context(), cfg); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "removed: nothing is enforced on this host any more")
	return err
}
