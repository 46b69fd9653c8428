// Package agentcmd is `tierwall agent`: it enforces policy on this host, and asks, checks and
// removes what enforces it.
package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/nodereport"
	"github.com/tierwall/tierwall/internal/agent/packetlog"
	"github.com/tierwall/tierwall/internal/agent/resume"
	"github.com/tierwall/tierwall/internal/cli/agenthttp"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/uninstall"
)

// options are the flags of agent.
type options struct {
	source      sourceFlags
	host        hostFlags
	guards      guardFlags
	cni         cniFlags
	dns         dnsFlags
	authz       authzFlags
	log         flags.Log
	metricsAddr string
	runDir      string

	checkInterval time.Duration
	staleLimit    time.Duration
	report        bool
	logGroup      uint16
	logRate       uint32
	resumeGroup   uint16

	modes modes
}

// NewCommand returns `tierwall agent`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "agent --store files:DIR|kube|etcd:URL",
		Short: "Enforce policy on this host",
		Long: `Enforces policy on this host, for the Pods and WorkloadEndpoints of its node and,
where a HostEndpoint says so, for the host itself, in kernel tables of its own that
leave all others alone. It follows the store: what changes there is in force at once,
connections that a change denies are ended, all others live on. Packets that policy
could not judge, such as those from a pod with a source address that is not the
pod's, are dropped before it (docs/semantics.md, "Guards").

An object that is invalid keeps its last valid version in force and is reported:
in the log, at http://` + agenthttp.DefaultAddr + `/status, in the metrics, and, with
--store kube, in the NodePolicyReport of the node.

While the store cannot be reached, and when the agent ends, in whatever way, what
it has put in force stays in force. The next one takes over without a gap, and
keeps the last valid version of what is invalid then. What is in force is removed by
tierwall agent remove.

With --cni-socket it answers the CNI plugin, which holds up each new pod until its
policy is in force; with --cni-conf-dir and --cni-bin-dir it installs the plugin,
and keeps it installed.

Exit code: 0 at an orderly end, 2 if it fails.`,
		Example: `  # Enforce what the manifests say, and follow them
  sudo tierwall agent --store files:/etc/tierwall

  # On a node of a cluster, as the DaemonSet does
  tierwall agent --store kube --node node-1

  # How is it going?
  tierwall agent status

  # Does the kernel really decide what policy says?
  sudo tierwall agent verify --store files:/etc/tierwall

  # Enforce nothing any more
  sudo tierwall agent remove`,
		Args: command.NoUnknownCommand,
		RunE: command.Steps(o.complete, o.validate, o.run),
	}
	o.register(cmd)
	cmd.AddCommand(newStatusCommand(), newVerifyCommand(), newRemoveCommand())
	return cmd
}

func (o *options) register(cmd *cobra.Command) {
	f := cmd.Flags()
	o.source.register(cmd)
	f.StringVar(&o.metricsAddr, "metrics-addr", agenthttp.DefaultAddr, "loopback address and port of metrics, health and status; off for none")
	f.DurationVar(&o.checkInterval, "check-interval", 30*time.Second, "how often the kernel's tables are compared with what they should hold, and repaired")
	f.DurationVar(&o.staleLimit, "max-staleness", agent.DefaultStaleLimit, "how long the store may be out of reach until the agent is not ready (/readyz); what was last read stays in force in any case; 0: without limit")
	f.StringVar(&o.runDir, "run-dir", defaultRunDir, "directory of the lock file and of the last valid versions")
	_ = cmd.MarkFlagDirname("run-dir")
	o.guards.register(cmd)
	o.host.register(cmd)
	f.BoolVar(&o.report, "report", true, "with --store kube, write the NodePolicyReport of the node")
	o.cni.register(cmd)
	o.dns.register(cmd)
	o.authz.register(cmd)
	f.Uint16Var(&o.logGroup, "log-group", packetlog.DefaultGroup, "NFLOG group for packets that rules with action Log match; 0: none are logged")
	f.Uint16Var(&o.resumeGroup, "resume-group", resume.DefaultGroup, "NFLOG group for packets of live TCP connections that the kernel does not track, after the first start or conntrack -F: those that policy allows go on; 0: all end")
	f.Uint32Var(&o.logRate, "log-rate", nft.DefaultLogRate, "packets to log a second, at most, for one rule and what is decided after it")
	o.log.Register(cmd)
	o.modes.register(cmd)
}

// complete fills in what follows from other flags and from the host.
func (o *options) complete(cmd *cobra.Command) error {
	if err := o.host.complete(cmd, o.source.isKube()); err != nil {
		return err
	}
	if err := o.guards.complete(cmd); err != nil {
		return err
	}
	return o.source.complete()
}

// validate refuses flags that make no sense, before anything else happens.
func (o *options) validate(cmd *cobra.Command) error {
	switch {
	case o.logRate == 0:
		return command.UsageError(cmd, errors.New("--log-rate 0: expected at least 1; --log-group 0 logs no packets"))
	case o.staleLimit < 0:
		return command.UsageError(cmd, fmt.Errorf("--max-staleness %s: expected 0, for no limit, or more", o.staleLimit))
	case o.checkInterval < time.Second:
		return command.UsageError(cmd, fmt.Errorf("--check-interval %s: expected at least 1s", o.checkInterval))
	}
	if err := output.CheckFlag(cmd, o.modes.format, "text", "json"); err != nil {
		return err
	}
	if err := o.log.Validate(cmd); err != nil {
		return err
	}
	if !o.modes.status && !o.modes.remove {
		if err := o.source.validate(cmd); err != nil {
			return err
		}
	}
	return o.cni.validate(cmd)
}

func (o *options) run(cmd *cobra.Command) error {
	if o.modes.any() {
		return o.modes.run(cmd, o)
	}
	log := o.log.Logger(cmd.ErrOrStderr())
	cfg, err := o.config(log)
	if err != nil {
		return err
	}
	if cfg.ExtAuthz, err = o.authz.config(cmd); err != nil {
		return err
	}
	if err := agent.Privileged(); err != nil {
		return err
	}
	if err := agent.Alone(&cfg); err != nil {
		return err
	}
	if err := o.connect(log, &cfg); err != nil {
		return err
	}
	if c, ok := cfg.Source.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	links, err := hostlink.Open()
	if err != nil {
		return err
	}
	defer links.Close()
	cfg.Links, cfg.Inspect = links, enforceable.Inspect
	if cfg.CheckSources && cfg.Guards.Has(dataplane.GuardMAC) {
		cfg.KeepReservedGroups = hostlink.KeepReservedGroups
	}
	packets, logging := packetlog.Open(o.logGroup, o.logRate, log)
	if packets != nil {
		defer func() { _ = packets.Close() }()
		cfg.PacketLog = packets
	}
	cfg.Resume, logging.OutOfState = resume.Open(o.resumeGroup, log)
	changes := &nft.ChangeListener{}
	cfg.Open = agent.OpenKernel(log, logging, cfg.Host, o.guards.settings, changes)
	cfg.ExternalChanges = changes.Watch
	return o.enforce(cmd.Context(), log, cfg)
}

// enforce runs the agent, and cleans up if it ends because tierwall is being
// taken off the cluster.
func (o *options) enforce(ctx context.Context, log *slog.Logger, cfg agent.Config) error {
	var witness *uninstall.Witness
	if o.source.isKube() {
		rest, err := o.source.store.RESTConfig()
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(kubeclient.WithProtobuf(rest))
		if err != nil {
			return err
		}
		witness = uninstall.Watch(ctx, client, log)
	}
	if err := agent.Run(ctx, cfg); err != nil || ctx.Err() == nil {
		return err
	}
	// The signal to end has come; there is a grace of 30 s until the process is killed.
	const cleanup = 15 * time.Second
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	if yes, why := witness.Underway(grace); yes {
		log.Info("tierwall is being uninstalled: removing what is in force on this host", "because", why)
		return agent.Remove(grace, cfg)
	}
	return nil
}

// config returns what an agent is, without its store and the kernel.
func (o *options) config(log *slog.Logger) (agent.Config, error) {
	cfg := agent.Config{
		Node: o.source.node, MetricsAddr: o.metricsAddr, RunDir: o.runDir, CheckInterval: o.checkInterval, StaleLimit: o.staleLimit,
		Log: log, Version: version.Get().Version,
		Host: o.host.settings,
	}
	o.guards.apply(&cfg)
	if cfg.MetricsAddr == "off" {
		cfg.MetricsAddr = ""
	}
	var err error
	if cfg.DNS, err = o.dns.config(); err != nil {
		return cfg, err
	}
	return cfg, o.cni.apply(&cfg, log)
}

// connect opens the store, and the way for reports to it.
func (o *options) connect(log *slog.Logger, cfg *agent.Config) error {
	cfg.Waiting = &agent.Waiting{Log: log}
	o.source.store.KubeOptions.Waiting = cfg.Waiting.Set
	o.source.readService(cfg.DNS)
	var err error
	if cfg.Source, err = o.source.open(log); err != nil || !o.source.isKube() {
		return err
	}
	rest, err := o.source.store.RESTConfig()
	if err != nil {
		return err
	}
	cfg.APIServer = serverAddress(rest.Host)
	if o.report {
		cfg.Report, err = nodereport.ToCluster(kubeclient.WithTimeout(rest))
	}
	return err
}
