// Package cnicmd is `tierwall cni`: the CNI plugin, and how it gets to a host and off it.
package cnicmd

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/cni/plugin"
	"github.com/tierwall/tierwall/internal/cni/wire"
)

// NewCommand returns `tierwall cni`.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cni",
		Short: "Hold pods up until their policy is in force",
		Long: `The chained CNI plugin, which container runtimes run for each pod that starts or
ends: it holds a pod up until the agent of this host has the pod's policy in the
kernel, so that not one packet of the pod goes without.

It is not for people to run: the command comes in the environment (CNI_COMMAND),
the configuration on standard input, and the agent does the rest. An agent that
is told --cni-conf-dir installs it and keeps it installed.`,
		Example: `  # Install the plugin on a host whose agent must not do it by itself
  sudo tierwall cni install

  # Remove it again
  sudo tierwall cni uninstall`,
		Args: command.NoUnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Getenv("CNI_COMMAND") == "" {
				return cmd.Help()
			}
			return command.ExitWith(plugin.Main(), nil)
		},
	}
	cmd.AddCommand(newCNIInstallCommand(), newCNIUninstallCommand())
	return cmd
}

func newCNIInstallCommand() *cobra.Command {
	cfg := cni.InstallerConfig{}
	failurePolicy := ""
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put the plugin into the configuration of the container runtime, once",
		Long: `Copies this program to the directory of CNI plugins, and adds the plugin to the
configuration that the container runtime uses for pods: the first in the
directory. All else in that file stays as it is, to the byte.

From then on no pod starts on this host without an agent. An agent that is told
--cni-conf-dir does the same by itself, once it enforces, and again when another
program has taken the plugin out; this command is for hosts where it must not.

Exit code: 0 if it is installed, 2 if it fails.`,
		Example: `  # Where the container runtime looks
  sudo tierwall cni install

  # Elsewhere, and not for the pods of the system
  sudo tierwall cni install --cni-conf-dir /var/lib/rancher/k3s/agent/etc/cni/net.d \
    --cni-bin-dir /var/lib/rancher/k3s/data/cni --exempt-namespace kube-system`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.CheckOneOf(cmd, "failure-policy", failurePolicy, wire.Closed, wire.Open); err != nil {
				return err
			}
			cfg.FailOpen = failurePolicy == wire.Open
			installer, err := cni.NewInstaller(cfg)
			if err != nil {
				return err
			}
			file, changed, err := installer.Install()
			if err != nil {
				return err
			}
			result := "installed"
			if !changed {
				result = "installed already"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", result, file)
			return err
		},
	}
	addCNIDirFlags(cmd, &cfg)
	f := cmd.Flags()
	f.StringVar(&cfg.Socket, "socket", cni.DefaultSocket, "where the agent answers the plugin")
	f.DurationVar(&cfg.Timeout, "timeout", 20*time.Second, "how long a pod is held up at most")
	f.StringVar(&failurePolicy, "failure-policy", wire.Closed, "what then: closed, the pod does not start and is tried again; open, it starts")
	f.StringSliceVar(&cfg.ExemptNamespaces, "exempt-namespace", nil, "namespaces whose pods are not held up")
	flags.Complete(cmd, "failure-policy", wire.Closed, wire.Open)
	return cmd
}

func newCNIUninstallCommand() *cobra.Command {
	cfg := cni.InstallerConfig{}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the plugin from the container runtime's configuration",
		Long: `Removes the plugin from all CNI configurations of this host and removes its
program. What nobody else has changed is as it was before, to the byte. An agent
that is told --cni-conf-dir would put it back: end it first, or run
'tierwall agent remove', which does the same and more.

Exit code: 0 if it is removed, 2 if it fails.`,
		Example: `  sudo tierwall cni uninstall`,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			installer, err := cni.NewInstaller(cfg)
			if err != nil {
				return err
			}
			if err := installer.Uninstall(); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "uninstalled: pods start without waiting for their policy")
			return err
		},
	}
	addCNIDirFlags(cmd, &cfg)
	cmd.Flags().StringVar(&cfg.Socket, "socket", cni.DefaultSocket, "where the agent answers the plugin")
	return cmd
}

func addCNIDirFlags(cmd *cobra.Command, cfg *cni.InstallerConfig) {
	f := cmd.Flags()
	f.StringVar(&cfg.ConfDir, "cni-conf-dir", cni.DefaultConfDir, "directory of the container runtime's CNI configurations")
	f.StringVar(&cfg.BinDir, "cni-bin-dir", cni.DefaultBinDir, "directory of its CNI plugins")
	_ = cmd.MarkFlagDirname("cni-conf-dir")
	_ = cmd.MarkFlagDirname("cni-bin-dir")
}
