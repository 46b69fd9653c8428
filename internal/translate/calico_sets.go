package translate

import (
	"net/netip"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// netset is a network set without the labels of its namespace.
type netset struct {
	own     selector.Labels
	nets    []netip.Prefix
	domains []string
}

// translateSet translates what network sets of both scopes have.
func translateSet(name string, labels map[string]string, nets, domains []string) (*netset, problems) {
	var ps problems
	ps.name(name)
	ps.setLabels(labels)
	return &netset{
		own: ownLabels(labels), nets: ps.nets("spec.nets", nets, true),
		domains: ps.domains("spec.allowedEgressDomains", domains),
	}, ps
}

// translateWorkloadEndpoint translates the endpoint of a host's workload.
func translateWorkloadEndpoint(w *v3.WorkloadEndpoint) (*endpoint, problems) {
	var ps problems
	ps.name(w.Name)
	ps.labels("metadata.labels", w.Labels)
	spec := &w.Spec
	if spec.Node == "" {
		ps.add("spec.node", "is missing: expected the name of the host that the workload runs on")
	}
	e := &endpoint{
		own:          ownLabels(w.Labels),
		account:      spec.ServiceAccountName,
		orchestrator: spec.Orchestrator,
		node:         spec.Node,
		iface:        spec.InterfaceName,
		precedence:   precedence(w.DeletionTimestamp != nil, nil, w.CreationTimestamp),
	}
	if e.orchestrator == "" && spec.Pod != "" {
		e.orchestrator = orchestratorKubernetes
	}
	switch {
	case len(spec.Profiles) > 0:
		e.profile = spec.Profiles[0]
	case e.orchestrator == orchestratorKubernetes:
		e.profile = namespaceProfile(w.Namespace)
	}
	for i, text := range spec.IPNetworks {
		addr, err := parseAddr(text)
		if err != nil {
			ps.add(at("spec.ipNetworks", i), "%v", err)
			continue
		}
		e.addAddr(addr)
	}
	e.ports = workloadPorts(&ps, spec.Ports)
	return e, ps
}

func workloadPorts(ps *problems, ports []v3.EndpointPort) []policy.NamedPort {
	var out []policy.NamedPort
	for i, p := range ports {
		field := at("spec.ports", i)
		if !calicoPort.MatchString(p.Name) {
			ps.add(field+".name", "%q is no port's name: expected letters, digits, '-', '_' and '.'", p.Name)
		}
		out = append(out, policy.NamedPort{
			Name:     p.Name,
			Protocol: ps.portedProtocol(field+".protocol", string(p.Protocol)),
			Port:     ps.portNumber(field+".port", int64(p.Port)),
		})
	}
	return out
}
