package agentcmd

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/cni/wire"
)

// cniFlags say how an agent serves the CNI plugin, and where it installs it.
type cniFlags struct {
	cniPlace
	timeout       time.Duration
	failurePolicy string
	exempt        []string
}

// cniPlace is what the plugin leaves on a host, and where.
type cniPlace struct {
	socket, confDir, binDir string
}

func (o *cniFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.socket, "cni-socket", "", "answer the CNI plugin at this unix socket, such as "+cni.DefaultSocket)
	f.StringVar(&o.confDir, "cni-conf-dir", "", "install the CNI plugin into the configuration there, such as "+cni.DefaultConfDir+"; with --cni-bin-dir")
	f.StringVar(&o.binDir, "cni-bin-dir", "", "install the CNI plugin's program there, such as "+cni.DefaultBinDir+"; with --cni-conf-dir")
	o.completeDirs(cmd)
	f.DurationVar(&o.timeout, "cni-timeout", wire.DefaultTimeout, "how long a new pod is held up, at most, until its policy is in force")
	f.StringVar(&o.failurePolicy, "cni-failure-policy", wire.Closed, "what happens to a pod whose policy is not in force after --cni-timeout: closed (it does not start, and is tried again) or open (it starts)")
	f.StringSliceVar(&o.exempt, "cni-exempt-namespace", nil, "namespace whose pods are not held up; may be repeated")
	flags.Complete(cmd, "cni-failure-policy", wire.Closed, wire.Open)
}

// registerRemoval adds the flags that say what of the plugin there is to remove.
func (o *cniPlace) registerRemoval(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.socket, "cni-socket", "", "remove the unix socket at which the CNI plugin was answered, such as "+cni.DefaultSocket)
	f.StringVar(&o.confDir, "cni-conf-dir", "", "remove the CNI plugin from the configuration there, such as "+cni.DefaultConfDir)
	f.StringVar(&o.binDir, "cni-bin-dir", "", "and its program from there, such as "+cni.DefaultBinDir)
	o.completeDirs(cmd)
}

func (o *cniPlace) completeDirs(cmd *cobra.Command) {
	_ = cmd.MarkFlagDirname("cni-conf-dir")
	_ = cmd.MarkFlagDirname("cni-bin-dir")
}

func (o *cniPlace) validate(cmd *cobra.Command) error {
	if (o.confDir == "") != (o.binDir == "") {
		return command.UsageError(cmd, errors.New("--cni-conf-dir and --cni-bin-dir belong together: the plugin's entry and its program"))
	}
	return nil
}

func (o *cniFlags) validate(cmd *cobra.Command) error {
	if err := flags.CheckOneOf(cmd, "cni-failure-policy", o.failurePolicy, wire.Closed, wire.Open); err != nil {
		return err
	}
	if err := o.cniPlace.validate(cmd); err != nil {
		return err
	}
	if o.confDir != "" && o.socket == "" {
		return command.UsageError(cmd, errors.New("--cni-conf-dir needs --cni-socket: the plugin asks the agent there, and no pod would start"))
	}
	return nil
}

// apply puts into the configuration of an agent what the flags say.
func (o *cniFlags) apply(cfg *agent.Config, log *slog.Logger) error {
	return o.install(cfg, cni.InstallerConfig{
		Log: log, Timeout: o.timeout, FailOpen: o.failurePolicy == wire.Open, ExemptNamespaces: o.exempt,
	})
}

// install names the socket and the installer, as far as the flags name them.
func (o *cniPlace) install(cfg *agent.Config, installer cni.InstallerConfig) error {
	if o.socket != "" {
		cfg.CNI = &cni.ServerConfig{Socket: o.socket}
	}
	if o.confDir == "" {
		return nil
	}
	installer.ConfDir, installer.BinDir, installer.Socket = o.confDir, o.binDir, o.socket
	var err error
	cfg.Installer, err = cni.NewInstaller(installer)
	return err
}
