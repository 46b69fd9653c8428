package source

import (
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"

	"github.com/tierwall/tierwall/policy"
)

// baselineName is the only name that a BaselineAdminNetworkPolicy can have.
const baselineName = "default"

// adminNetworkPolicy translates an AdminNetworkPolicy.
func adminNetworkPolicy(key policy.Key, in *v1alpha1.AdminNetworkPolicySpec, texts bool) (*policy.Policy, []*policy.Set, Problems) {
	spec := &clusterSpec{
		tier: adminTier, priority: in.Priority, subject: subjectV1alpha1(&in.Subject),
		accept: string(v1alpha1.AdminNetworkPolicyRuleActionAllow), pass: true, ports: "ports", most: 100,
	}
	for i := range in.Ingress {
		r := &in.Ingress[i]
		spec.rules[policy.Ingress] = append(spec.rules[policy.Ingress], ingressV1alpha1(r.Name, string(r.Action), r.From, r.Ports))
	}
	for i := range in.Egress {
		r := &in.Egress[i]
		out := ruleV1alpha1(r.Name, string(r.Action), r.Ports)
		for _, p := range r.To {
			out.peers = append(out.peers, clusterPeer{
				clusterSubject: clusterSubject{p.Namespaces, podsV1alpha1(p.Pods)},
				nodes:          p.Nodes, networks: plainStrings(p.Networks), domains: plainStrings(p.DomainNames),
			})
		}
		spec.rules[policy.Egress] = append(spec.rules[policy.Egress], out)
	}
	return translateClusterPolicy(key, spec, texts)
}

// baselineAdminNetworkPolicy translates a BaselineAdminNetworkPolicy. There is one,
// so it has no priority.
func baselineAdminNetworkPolicy(key policy.Key, in *v1alpha1.BaselineAdminNetworkPolicySpec, texts bool) (*policy.Policy, []*policy.Set, Problems) {
	spec := &clusterSpec{
		tier: baselineTier, subject: subjectV1alpha1(&in.Subject),
		accept: string(v1alpha1.BaselineAdminNetworkPolicyRuleActionAllow), ports: "ports", most: 100,
	}
	for i := range in.Ingress {
		r := &in.Ingress[i]
		spec.rules[policy.Ingress] = append(spec.rules[policy.Ingress], ingressV1alpha1(r.Name, string(r.Action), r.From, r.Ports))
	}
	for i := range in.Egress {
		r := &in.Egress[i]
		out := ruleV1alpha1(r.Name, string(r.Action), r.Ports)
		for _, p := range r.To {
			out.peers = append(out.peers, clusterPeer{
				clusterSubject: clusterSubject{p.Namespaces, podsV1alpha1(p.Pods)},
				nodes:          p.Nodes, networks: plainStrings(p.Networks),
			})
		}
		spec.rules[policy.Egress] = append(spec.rules[policy.Egress], out)
	}
	p, sets, ps := translateClusterPolicy(key, spec, texts)
	if key.Name != baselineName {
		ps.add("metadata.name", "%q: there is only one BaselineAdminNetworkPolicy, and its name is %s", key.Name, baselineName)
	}
	return p, sets, ps
}

func subjectV1alpha1(in *v1alpha1.AdminNetworkPolicySubject) clusterSubject {
	return clusterSubject{in.Namespaces, podsV1alpha1(in.Pods)}
}

func podsV1alpha1(in *v1alpha1.NamespacedPod) *clusterPods {
	if in == nil {
		return nil
	}
	return &clusterPods{in.NamespaceSelector, in.PodSelector}
}

func ingressV1alpha1(name, action string, from []v1alpha1.AdminNetworkPolicyIngressPeer, ports *[]v1alpha1.AdminNetworkPolicyPort) clusterRule {
	out := ruleV1alpha1(name, action, ports)
	for _, p := range from {
		out.peers = append(out.peers, clusterPeer{clusterSubject: clusterSubject{p.Namespaces, podsV1alpha1(p.Pods)}})
	}
	return out
}

func ruleV1alpha1(name, action string, ports *[]v1alpha1.AdminNetworkPolicyPort) clusterRule {
	out := clusterRule{name: name, action: action, portCount: -1}
	var list []v1alpha1.AdminNetworkPolicyPort
	if ports != nil {
		list, out.portCount = *ports, len(*ports)
	}
	for i := range list {
		out.named = out.named || list[i].NamedPort != nil
	}
	out.groups = func(c *clusterPolicy, field string) []portGroup { return c.portsV1alpha1(field, list) }
	return out
}

// portsV1alpha1 translates the ports of a rule; none is every protocol.
func (c *clusterPolicy) portsV1alpha1(field string, in []v1alpha1.AdminNetworkPolicyPort) []portGroup {
	if len(in) == 0 {
		return []portGroup{{}}
	}
	var set portSet
	for i := range in {
		p := &in[i]
		field := at(field, i)
		names := namesOf(named{"portNumber", p.PortNumber != nil}, named{"namedPort", p.NamedPort != nil}, named{"portRange", p.PortRange != nil})
		if !c.oneOf(field, names, "portNumber, namedPort or portRange") {
			continue
		}
		switch {
		case p.PortNumber != nil:
			field += ".portNumber"
			port := c.portNumber(field+".port", int64(p.PortNumber.Port))
			set.addRange(c.protocolV1alpha1(field, string(p.PortNumber.Protocol)), policy.PortRange{First: port, Last: port})
		case p.PortRange != nil:
			field += ".portRange"
			set.addRange(c.protocolV1alpha1(field, string(p.PortRange.Protocol)), c.portRange(field, p.PortRange.Start, p.PortRange.End, false))
		default:
			c.portName(field+".namedPort", *p.NamedPort)
			set.addName(*p.NamedPort)
		}
	}
	return set.groups
}

func (c *clusterPolicy) protocolV1alpha1(field, text string) policy.Protocol {
	if text == "" {
		return policy.TCP
	}
	return c.portedProtocol(field+".protocol", text)
}
