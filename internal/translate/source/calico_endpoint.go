package source

import (
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// translateWorkloadEndpoint translates the endpoint of a host's workload.
func translateWorkloadEndpoint(w *v3.WorkloadEndpoint) (*Endpoint, Problems) {
	var ps Problems
	ps.name(w.Name)
	ps.labels("metadata.labels", w.Labels)
	spec := &w.Spec
	if spec.Node == "" {
		ps.add("spec.node", "is missing: expected the name of the host that the workload runs on")
	}
	e := &Endpoint{
		Labels:         ownLabels(w.Labels),
		ServiceAccount: spec.ServiceAccountName,
		Orchestrator:   spec.Orchestrator,
		Node:           spec.Node,
		Interface:      spec.InterfaceName,
		Precedence:     precedence(w.DeletionTimestamp != nil, nil, w.CreationTimestamp),
	}
	if e.Orchestrator == "" && spec.Pod != "" {
		e.Orchestrator = orchestratorKubernetes
	}
	e.Profiles = ps.profileNames(spec.Profiles, w.Namespace)
	if len(spec.Profiles) == 0 && e.Orchestrator == orchestratorKubernetes {
		e.Profiles = []string{policy.NamespaceProfile(w.Namespace)}
	}
	for i, text := range spec.IPNetworks {
		addr, err := parseAddr(text)
		if err != nil {
			ps.add(at("spec.ipNetworks", i), "%v", err)
			continue
		}
		e.addAddr(addr)
	}
	e.Ports = workloadPorts(&ps, spec.Ports)
	return e, ps
}

func workloadPorts(ps *Problems, ports []v3.EndpointPort) []policy.NamedPort {
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
