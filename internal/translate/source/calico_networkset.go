package source

import (
	"net/netip"

	"github.com/tierwall/tierwall/selector"
)

// NetworkSet is a network set without the labels of its namespace.
type NetworkSet struct {
	Labels  selector.Labels
	Nets    []netip.Prefix
	Domains []string
}

// translateSet translates what network sets of both scopes have.
func translateSet(name string, labels map[string]string, nets, domains []string) (*NetworkSet, Problems) {
	var ps Problems
	ps.name(name)
	ps.setLabels(labels)
	return &NetworkSet{
		Labels: ownLabels(labels), Nets: ps.nets("spec.nets", nets, true),
		Domains: ps.domains("spec.allowedEgressDomains", domains),
	}, ps
}
