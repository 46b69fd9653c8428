package agentcmd

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/policy"
)

// dnsFlags are the flags of an agent about domains.
type dnsFlags struct {
	servers []string
	service string
}

// noLearning is what --dns-servers says to have nothing learned.
const noLearning = "off"

func (f *dnsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.servers, "dns-servers", nil,
		"addresses of the DNS servers whose answers are trusted for rules with domains (default: those that /etc/resolv.conf names, and the cluster's DNS service); "+noLearning+": nobody's")
	cmd.Flags().StringVar(&f.service, "dns-service", agent.DefaultDNSService.Namespace+"/"+agent.DefaultDNSService.Name,
		"NAMESPACE/NAME of the cluster's DNS service")
}

// config returns what an agent does about domains; nil for nothing.
func (f *dnsFlags) config() (*agent.DNS, error) {
	if len(f.servers) == 1 && f.servers[0] == noLearning {
		return nil, nil
	}
	cfg := &agent.DNS{}
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
	cfg.Service = policy.Key{Kind: agent.DefaultDNSService.Kind, Namespace: namespace, Name: name}
	return cfg, nil
}
