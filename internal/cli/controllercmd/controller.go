// Package controllercmd is `tierwall controller`.
package controllercmd

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/controller"
)

type options struct {
	kube                flags.Kubeconfig
	namespace, identity string
	leaderElect         bool
	statusQPS           float32
	metricsAddr         string
	log                 flags.Log
}

const (
	defaultControllerAddr      = "127.0.0.1:9096"
	defaultControllerNamespace = "tierwall-system"
)

// NewCommand returns `tierwall controller`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Write into a cluster's policies what became of them",
		Long: `Checks all tiers, policies and network sets of a cluster, adds up what the agents of
its nodes report, and writes both into the status of the objects: whether an object
is valid and what is wrong with it, on how many endpoints and nodes a policy is in
force. What is invalid also gets an Event, NetworkPolicies of networking.k8s.io
included, which have no status.

Nothing that is enforced depends on it. Several may run: one leads, the others wait.`,
		Example: `  # In a pod, as in the manifests
  tierwall controller --metrics-addr 0.0.0.0:9096

  # From a workstation, for as long as it runs
  tierwall controller --context staging
  kubectl get globalnetworkpolicies`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	o.kube.Register(cmd)
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the Lease that says which controller leads (default: $POD_NAMESPACE, else "+defaultControllerNamespace+")")
	f.StringVar(&o.identity, "identity", "", "name of this controller in the Lease (default: $POD_NAME, else host name and process)")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "wait until no other controller leads; false if this is the only one")
	f.Float32Var(&o.statusQPS, "status-qps", controller.DefaultStatusQPS, "statuses and Events written per second, at most: each goes to all agents")
	f.StringVar(&o.metricsAddr, "metrics-addr", defaultControllerAddr, "address and port of metrics and health, without authentication; off for none")
	o.log.Register(cmd)
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // it has time, and lives beside what matters
	}
	log := o.log.Logger(cmd.ErrOrStderr())
	klog.SetSlogLogger(log) // what client-go has to say
	kube, err := o.kube.Config("controller")
	if err != nil {
		return err
	}
	cfg := controller.Config{
		Kube: kube, Namespace: o.namespace, Identity: o.identity, StatusQPS: o.statusQPS,
		MetricsAddr: o.metricsAddr, Version: version.Get().Version, Log: log,
	}
	if cfg.MetricsAddr == "off" {
		cfg.MetricsAddr = ""
	}
	if !o.leaderElect {
		cfg.Namespace = ""
	}
	return controller.Run(cmd.Context(), cfg)
}

// validate refuses flags that make no sense.
func (o *options) validate(cmd *cobra.Command) error {
	if err := o.log.Validate(cmd); err != nil {
		return err
	}
	if !(o.statusQPS > 0) {
		return command.UsageError(cmd, fmt.Errorf("--status-qps %v: expected more than 0", o.statusQPS))
	}
	if o.leaderElect && cmd.Flags().Changed("namespace") && o.namespace == "" {
		return command.UsageError(cmd, errors.New("--namespace is empty: expected the namespace of the Lease, or --leader-elect=false"))
	}
	return nil
}

// complete fills in what follows from where the controller runs.
func (o *options) complete() error {
	if o.namespace == "" {
		o.namespace = os.Getenv("POD_NAMESPACE")
	}
	if o.namespace == "" {
		o.namespace = defaultControllerNamespace
	}
	if o.identity == "" {
		o.identity = os.Getenv("POD_NAME")
	}
	if o.identity == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name of this host: %w; name this controller with --identity", err)
		}
		o.identity = fmt.Sprintf("%s-%d", name, os.Getpid())
	}
	return nil
}
