package agentcmd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/open"
)

// nodeVariable is how the manifests tell an agent the name of its node.
const nodeVariable = "NODE_NAME"

// defaultRunDir is where an agent keeps its files.
const defaultRunDir = "/run/tierwall"

// sourceFlags say what is in force on this host: the store, and the host's name in it.
type sourceFlags struct {
	store *open.Flags
	node  string
}

func (o *sourceFlags) register(cmd *cobra.Command) {
	o.store = open.NewFlags()
	o.store.Register(cmd.Flags())
	input.CompleteConnection(cmd, o.store)
	cmd.Flags().StringVar(&o.node, "node", "", "name of this host in the resources (default: $"+nodeVariable+", else its host name)")
}

// isKube reports whether the store is a cluster.
func (o *sourceFlags) isKube() bool { return o.store.Kind() == open.KindKube }

// complete finds out the name of the host, where no flag says it.
func (o *sourceFlags) complete() error {
	if o.node == "" {
		o.node = os.Getenv(nodeVariable)
	}
	if o.node == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name of this host: %w; name it with --node", err)
		}
		o.node = name
	}
	return nil
}

func (o *sourceFlags) validate(cmd *cobra.Command) error {
	if o.store.Store == "" {
		return command.UsageError(cmd, errors.New("no store: expected --store "+open.Forms))
	}
	return nil
}

// open opens the store.
func (o *sourceFlags) open(log *slog.Logger) (store.Source, error) {
	o.store.Log = log
	o.store.UserAgent = kubeclient.UserAgent("agent", version.Get().Version)
	// Of nodes only this one, and nothing that is not enforced: what each of 5,000
	// agents watches, the API server sends 5,000 times.
	o.store.KubeOptions.Node, o.store.KubeOptions.Enforced = o.node, true
	return o.store.Source()
}

// readService has the store read the cluster's DNS service, whose address may be one of
// the servers that are trusted. The store reads all services once something names a
// domain: what their addresses are decides what is learned.
func (o *sourceFlags) readService(dns *dnslearner.Config) {
	if dns != nil {
		o.store.KubeOptions.Service = dns.Service.Name
	}
}
