// Package uninstallcmd is `tierwall uninstall`.
package uninstallcmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/uninstall"
)

type options struct {
	kube           flags.Kubeconfig
	namespace, set string
	timeout        time.Duration
	hold           string
}

// NewCommand returns `tierwall uninstall`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove tierwall from all nodes of a cluster",
		Long: `Removes everything that tierwall has put on the nodes of a cluster: what it enforces
in the kernel, its part of the CNI configuration, its files. Nothing is
enforced on a node from then on.

It makes the DaemonSet of the agents remove instead of enforce, waits until every
node is clean, and names those that are not. It deletes nothing in the cluster:
that is the next step, for which it gives the commands. Policies stay until their
CustomResourceDefinitions are deleted.

helm uninstall does this by itself, before it deletes. To go back instead, install
again.

Exit code: 0 if all nodes are clean, 1 if some are not, 2 if it fails.`,
		Example: `  # Remove it from the nodes, then delete it
  tierwall uninstall
  kubectl delete -f install.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, args, &o) },
	}
	f := cmd.Flags()
	o.kube.Register(cmd)
	f.StringVarP(&o.namespace, "namespace", "n", uninstall.Namespace, "namespace of the agents")
	f.StringVar(&o.set, "daemonset", uninstall.DaemonSet, "DaemonSet of the agents")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long the nodes may take")
	f.StringVar(&o.hold, "hold", "", "on a node: run the command after --, then say at this address that the node is clean, until told to end")
	_ = f.MarkHidden("hold")
	return cmd
}

func run(cmd *cobra.Command, args []string, o *options) error {
	if o.hold != "" {
		return holdUninstalled(cmd, o.hold, args)
	}
	if err := command.NoArgs(cmd, args); err != nil {
		return err
	}
	if o.timeout <= 0 {
		return command.UsageError(cmd, fmt.Errorf("--timeout %s: expected more than 0", o.timeout))
	}
	cfg, err := o.kube.Config("cli")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	n, err := uninstall.Nodes(cmd.Context(), client, uninstall.Options{
		Namespace: o.namespace, DaemonSet: o.set, Timeout: o.timeout,
		Progress: func(clean, nodes int) {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d nodes are clean\n", clean, nodes)
		},
	})
	var left *uninstall.NotClean
	switch {
	case errors.As(err, &left):
		return command.ExitWith(command.ExitNo, fmt.Errorf("%w\nFix or delete these nodes and run this again. To leave them as they are, go on with the next step;\nwhat is on them goes with: tierwall agent remove --cni-conf-dir DIR --cni-bin-dir DIR", err))
	case err != nil:
		return err
	case n == 0:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "there is no agent in namespace %s: nothing to clean\n", o.namespace)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `%d nodes are clean: nothing is enforced any more. The next step:
  helm uninstall tierwall -n %s   # if it was installed with Helm
  kubectl delete -f install.yaml  # if it was installed from the manifest; deletes all policies too
`, n, o.namespace)
	return err
}

// holdUninstalled runs a command line of this program, and when it has succeeded
// answers the probes of the agent whose place it has taken.
func holdUninstalled(cmd *cobra.Command, addr string, args []string) error {
	ctx := cmd.Context()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	remover := exec.CommandContext(ctx, self, args...)
	remover.Stdout, remover.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	remover.Cancel = func() error { return remover.Process.Signal(syscall.SIGTERM) }
	if err := remover.Run(); err != nil {
		return fmt.Errorf("tierwall %s: %w", strings.Join(args, " "), err)
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "removed")
	})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
