// Package agentcmd is `tierwall agent`: it enforces policy on this host, and asks, checks and
// removes what enforces it.
package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/agenthttp"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/uninstall"
)

type options struct {
	store         *open.Flags
	node          string
	metricsAddr   string
	runDir        string
	checkInterval time.Duration
	logFormat     string
	logGroup      uint16
	logRate       uint32
	debug         bool

	checkSources, denyUnknown, report bool
	cniSocket, cniConfDir, cniBinDir  string
	cniTimeout                        time.Duration
	cniFailurePolicy                  string
	cniExempt                         []string

	host  hostFlags
	authz authzFlags
	dns   dnsFlags

	remove, verify, status bool
	output                 string
}

const (
	// nodeVariable is how the manifests tell an agent the name of its node.
	nodeVariable = "NODE_NAME"
)

// NewCommand returns `tierwall agent`.
func NewCommand() *cobra.Command {
	o := options{store: open.NewFlags()}
	cmd := &cobra.Command{
		Use:   "agent --store files:DIR|kube|etcd:URL",
		Short: "Enforce policy on this host",
		Long: `Enforces policy on this host, for the Pods and WorkloadEndpoints of its node, in
kernel tables of its own that leave all others alone. It follows the store: what
changes there is in force at once, connections that a change denies are ended,
all others live on. Packets that come from a pod with a source address that is
not the pod's are dropped.

An object that is invalid keeps its last valid version in force and is reported:
in the log, at http://` + agenthttp.DefaultAddr + `/status, in the metrics, and, with
--store kube, in the NodePolicyReport of the node.

While the store cannot be reached, and when the agent ends, in whatever way, what
it has put in force stays in force. The next one takes over without a gap, and
keeps the last valid version of what is invalid then. --remove takes everything away.

With --cni-socket it answers the CNI plugin, which holds up each new pod until its
policy is in force; with --cni-conf-dir and --cni-bin-dir it installs the plugin,
and keeps it installed.

Exit code: 0 at an orderly end (--verify: all agree), 1 if --verify finds
differences or --status an agent that is not ready, 2 if it fails.`,
		Example: `  # Enforce what the manifests say, and follow them
  sudo tierwall agent --store files:/etc/tierwall

  # On a node of a cluster, as the DaemonSet does
  tierwall agent --store kube --node node-1

  # How is it going?
  tierwall agent --status

  # Does the kernel really decide what policy says?
  sudo tierwall agent --store files:/etc/tierwall --verify

  # Enforce nothing any more
  sudo tierwall agent --remove`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, &o) },
	}
	f := cmd.Flags()
	o.store.Register(f)
	input.CompleteConnection(cmd, o.store)
	f.StringVar(&o.node, "node", "", "name of this host in the resources (default: $"+nodeVariable+", else its host name)")
	f.StringVar(&o.metricsAddr, "metrics-addr", agenthttp.DefaultAddr, "loopback address and port of metrics, health and status; off for none")
	f.DurationVar(&o.checkInterval, "check-interval", 30*time.Second, "time between two comparisons of what the kernel holds with what it should")
	f.StringVar(&o.runDir, "run-dir", "/run/tierwall", "directory of the lock file and of the last valid versions")
	f.BoolVar(&o.checkSources, "check-sources", true, "drop what comes from a pod with a source address that is not the pod's")
	f.BoolVar(&o.denyUnknown, "deny-unknown-pods", false, "deny traffic of addresses in the node's spec.podCIDRs that no pod is known at; only where the network takes all pods' addresses from there")
	o.host.register(f)
	f.BoolVar(&o.report, "report", true, "with --store kube, write the NodePolicyReport of the node")
	f.StringVar(&o.cniSocket, "cni-socket", "", "answer the CNI plugin at this unix socket, such as "+cni.DefaultSocket)
	f.StringVar(&o.cniConfDir, "cni-conf-dir", "", "install the CNI plugin into the configuration there, such as "+cni.DefaultConfDir)
	f.StringVar(&o.cniBinDir, "cni-bin-dir", "", "and its program there, such as "+cni.DefaultBinDir)
	f.DurationVar(&o.cniTimeout, "cni-timeout", wire.DefaultTimeout, "how long a new pod is held up at most")
	f.StringVar(&o.cniFailurePolicy, "cni-failure-policy", wire.Closed, "what happens to a pod whose policy is not in force by then: closed (it does not start, and is tried again) or open")
	f.StringSliceVar(&o.cniExempt, "cni-exempt-namespace", nil, "namespace whose pods are not held up; may be repeated")
	o.dns.register(cmd)
	o.authz.register(f)
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.Uint16Var(&o.logGroup, "log-group", agent.DefaultLogGroup, "NFLOG group through which packets that rules with action Log match are logged; 0 for none")
	f.Uint32Var(&o.logRate, "log-rate", nft.DefaultLogRate, "how many of them a second, for one rule and what is decided after it")
	f.BoolVar(&o.debug, "debug", false, "log more")
	f.BoolVar(&o.remove, "remove", false, "take away what is in force, and end")
	f.BoolVar(&o.verify, "verify", false, "compare the kernel's decisions with the store's policy, and end")
	f.BoolVar(&o.status, "status", false, "show how the agent on this host is doing, and end")
	output.AddFlag(cmd, &o.output, "text", "json")
	cmd.MarkFlagsMutuallyExclusive("remove", "verify", "status")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func run(cmd *cobra.Command, o *options) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if o.status {
		return showStatus(cmd, o)
	}
	log := o.logger(cmd)
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
	if o.remove {
		if err := agent.Remove(cmd.Context(), cfg); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "removed: nothing is enforced on this host any more")
		return err
	}
	if err := o.connect(log, &cfg); err != nil {
		return err
	}
	if c, ok := cfg.Source.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	if o.verify {
		return verifyAgent(cmd, o, cfg)
	}
	if o.checkSources {
		links, err := hostlink.Open()
		if err != nil {
			return err
		}
		defer links.Close()
		cfg.Links = links
	}
	packets, logging := agent.OpenPacketLog(o.logGroup, o.logRate, log)
	if packets != nil {
		defer func() { _ = packets.Close() }()
		cfg.PacketLog = packets
	}
	cfg.Open = agent.OpenKernel(log, logging, cfg.Host)
	return o.enforce(cmd.Context(), log, cfg)
}

// enforce runs the agent, and cleans up if it ends because tierwall is being
// taken off the cluster.
func (o *options) enforce(ctx context.Context, log *slog.Logger, cfg agent.Config) error {
	var witness *uninstall.Witness
	if o.store.Kind() == open.KindKube {
		rest, err := o.store.RESTConfig()
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

// check refuses flags that make no sense, before anything else happens.
func (o *options) check(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.output, "text", "json"); err != nil {
		return err
	}
	switch {
	case o.logFormat != "text" && o.logFormat != "json":
		return command.UsageError(cmd, fmt.Errorf("--log-format %s: expected text or json", o.logFormat))
	case o.logRate == 0:
		return command.UsageError(cmd, errors.New("--log-rate 0: expected at least 1; --log-group 0 logs no packets"))
	case o.checkInterval < time.Second:
		return command.UsageError(cmd, fmt.Errorf("--check-interval %s: expected at least 1s", o.checkInterval))
	case o.store.Store == "" && !o.remove && !o.status:
		return command.UsageError(cmd, errors.New("no store: expected --store "+open.Forms))
	case o.cniFailurePolicy != wire.Closed && o.cniFailurePolicy != wire.Open:
		return command.UsageError(cmd, fmt.Errorf("--cni-failure-policy %s: expected %s or %s", o.cniFailurePolicy, wire.Closed, wire.Open))
	case (o.cniConfDir == "") != (o.cniBinDir == ""):
		return command.UsageError(cmd, errors.New("--cni-conf-dir and --cni-bin-dir belong together: the plugin's entry and its program"))
	case o.cniConfDir != "" && o.cniSocket == "":
		return command.UsageError(cmd, errors.New("--cni-conf-dir needs --cni-socket: the plugin asks the agent there, and no pod would start"))
	}
	return o.host.parse(cmd, o.store.Kind() == open.KindKube)
}

// config returns what an agent is, without its store.
func (o *options) config(log *slog.Logger) (agent.Config, error) {
	cfg := agent.Config{
		Node: o.node, MetricsAddr: o.metricsAddr, RunDir: o.runDir, CheckInterval: o.checkInterval,
		Open: agent.OpenKernel(log, nft.Logging{}, dataplane.HostSettings{}), Meddling: agent.Meddling, Log: log, Version: version.Get().Version,
		DenyUnknown: o.denyUnknown, Host: o.host.settings,
	}
	if cfg.MetricsAddr == "off" {
		cfg.MetricsAddr = ""
	}
	if cfg.Node == "" {
		cfg.Node = os.Getenv(nodeVariable)
	}
	if cfg.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return cfg, fmt.Errorf("name of this host: %w; name it with --node", err)
		}
		cfg.Node = name
	}
	var err error
	if cfg.DNS, err = o.dns.config(); err != nil {
		return cfg, err
	}
	if o.cniSocket != "" {
		cfg.CNI = &cni.ServerConfig{Socket: o.cniSocket}
	}
	if o.cniConfDir != "" {
		var err error
		cfg.Installer, err = cni.NewInstaller(cni.InstallerConfig{
			ConfDir: o.cniConfDir, BinDir: o.cniBinDir, Socket: o.cniSocket, Log: log,
			Timeout: o.cniTimeout, FailOpen: o.cniFailurePolicy == wire.Open, ExemptNamespaces: o.cniExempt,
		})
		if err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

// connect opens the store, and the way for reports to it.
func (o *options) connect(log *slog.Logger, cfg *agent.Config) error {
	cfg.Waiting = &agent.Waiting{Log: log}
	o.store.Log = log
	o.store.UserAgent = kubeclient.UserAgent("agent", cfg.Version)
	o.store.KubeOptions.Waiting = cfg.Waiting.Set
	// Of nodes only this one, and nothing that is not enforced: what each of 5,000
	// agents watches, the API server sends 5,000 times.
	o.store.KubeOptions.Node, o.store.KubeOptions.Enforced = cfg.Node, true
	if cfg.DNS != nil && cfg.DNS.Servers == nil {
		o.store.KubeOptions.Service = cfg.DNS.Service.Name
	}
	var err error
	if cfg.Source, err = o.store.Source(); err != nil {
		return err
	}
	if o.store.Kind() != open.KindKube {
		return nil
	}
	rest, err := o.store.RESTConfig()
	if err != nil {
		return err
	}
	cfg.APIServer = serverAddress(rest.Host)
	if !o.report || o.verify {
		return nil
	}
	cfg.Report, err = agent.KubeReports(kubeclient.WithTimeout(rest))
	return err
}

// logger writes to standard error, and leaves the time to whoever collects it
// when that is a journal and no terminal.
func (o *options) logger(cmd *cobra.Command) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.debug {
		opts.Level = slog.LevelDebug
	}
	w := cmd.ErrOrStderr()
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
