package agentcmd

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/policy"
)

// dnsFlags are the flags of an agent about domains.
type dnsFlags struct {
	servers  []string
	service  string
	internal ends.InternalFlags
}

// noLearning is what --dns-servers says to have nothing learned.
const noLearning = "off"

func (f *dnsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.servers, "dns-servers", nil,
		"DNS servers whose answers count for rules with domains, by address (default: those in /etc/resolv.conf, the cluster's DNS service, and a cache on this node such as 169.254.20.10); "+noLearning+": none")
	cmd.Flags().StringVar(&f.service, "dns-service", dnslearner.DefaultService.Namespace+"/"+dnslearner.DefaultService.Name,
		"NAMESPACE/NAME of the cluster's DNS service")
	f.internal.Register(cmd.Flags())
}

// config returns what an agent does about domains; nil for nothing.
func (f *dnsFlags) config() (*dnslearner.Config, error) {
	if len(f.servers) == 1 && f.servers[0] == noLearning {
		return nil, nil
	}
	internal, err := f.internal.Domains()
	if err != nil {
		return nil, err
	}
	cfg := &dnslearner.Config{Internal: internal}
	for _, text := range f.servers {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("--dns-servers: %q is no address: expected one such as 10.96.0.10, or %s", text, noLearning)
		}
		cfg.Servers = append(cfg.Servers, a.Unmap())
	}
	namespace, name, found := strings.Cut(f.service, "/")
	if !found || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--dns-service %s: expected NAMESPACE/NAME", f.service)
	}
	cfg.Service = policy.Key{Kind: dnslearner.DefaultService.Kind, Namespace: namespace, Name: name}
	return cfg, nil
}
