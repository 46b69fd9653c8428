package ends

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/dns"
)

// InternalFlags say for which names addresses of the cluster are believed.
type InternalFlags struct {
	cluster string
	others  []string
}

// Register adds the flags.
func (f *InternalFlags) Register(flags *pflag.FlagSet) {
	flags.StringVar(&f.cluster, "cluster-domain", dns.DefaultClusterDomain,
		"the domain of the cluster's own names, which may have addresses of pods, services and nodes")
	flags.StringSliceVar(&f.others, "internal-domains", nil,
		`other domains whose names may have such addresses, such as corp.example,*.corp.example; a rule for any other name never opens them`)
}

// Domains returns the domains that the flags name.
func (f *InternalFlags) Domains() ([]dns.Domain, error) {
	cluster, err := dns.ParseDomain(f.cluster)
	if err == nil && cluster.Below {
		err = fmt.Errorf("%q: expected the domain itself, such as %s", f.cluster, dns.DefaultClusterDomain)
	}
	if err != nil {
		return nil, fmt.Errorf("--cluster-domain: %w", err)
	}
	var others []dns.Domain
	for _, text := range f.others {
		d, err := dns.ParseDomain(text)
		if err != nil {
			return nil, fmt.Errorf("--internal-domains: %w", err)
		}
		others = append(others, d)
	}
	return dns.InternalDomains(cluster, others...), nil
}
