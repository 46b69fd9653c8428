package source

import (
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// clusterNetworkPolicy translates a ClusterNetworkPolicy.
func clusterNetworkPolicy(key policy.Key, in *v1alpha2.ClusterNetworkPolicySpec, texts bool) (*policy.Policy, []*policy.Set, Problems) {
	spec := &clusterSpec{
		tier: adminTier, priority: in.Priority, subject: clusterSubject{namespaces: in.Subject.Namespaces, pods: podsV1alpha2(in.Subject.Pods)},
		accept: string(v1alpha2.ClusterNetworkPolicyRuleActionAccept), pass: true, ports: "protocols", most: 25,
	}
	if in.Tier == v1alpha2.BaselineTier {
		spec.tier = baselineTier
	}
	for i := range in.Ingress {
		r := &in.Ingress[i]
		out := ruleV1alpha2(r.Name, r.Action, r.Protocols)
		for _, p := range r.From {
			out.peers = append(out.peers, clusterPeer{clusterSubject: clusterSubject{p.Namespaces, podsV1alpha2(p.Pods)}})
		}
		spec.rules[policy.Ingress] = append(spec.rules[policy.Ingress], out)
	}
	for i := range in.Egress {
		r := &in.Egress[i]
		out := ruleV1alpha2(r.Name, r.Action, r.Protocols)
		for _, p := range r.To {
			out.peers = append(out.peers, clusterPeer{
				clusterSubject: clusterSubject{p.Namespaces, podsV1alpha2(p.Pods)},
				nodes:          p.Nodes, networks: plainStrings(p.Networks), domains: plainStrings(p.DomainNames),
			})
		}
		spec.rules[policy.Egress] = append(spec.rules[policy.Egress], out)
	}
	p, sets, ps := translateClusterPolicy(key, spec, texts)
	ps.word("spec.tier", string(in.Tier), string(v1alpha2.AdminTier), string(v1alpha2.BaselineTier))
	return p, sets, ps
}

func podsV1alpha2(in *v1alpha2.NamespacedPod) *clusterPods {
	if in == nil {
		return nil
	}
	return &clusterPods{in.NamespaceSelector, in.PodSelector}
}

func ruleV1alpha2(name string, action v1alpha2.ClusterNetworkPolicyRuleAction, protocols []v1alpha2.ClusterNetworkPolicyProtocol) clusterRule {
	out := clusterRule{name: name, action: string(action), portCount: -1}
	if protocols != nil {
		out.portCount = len(protocols)
	}
	for i := range protocols {
		out.named = out.named || protocols[i].DestinationNamedPort != ""
	}
	out.groups = func(c *clusterPolicy, field string) []portGroup { return c.protocolsV1alpha2(field, protocols) }
	return out
}

// protocolsV1alpha2 translates the protocols of a rule; none is every protocol.
func (c *clusterPolicy) protocolsV1alpha2(field string, in []v1alpha2.ClusterNetworkPolicyProtocol) []portGroup {
	if len(in) == 0 {
		return []portGroup{{}}
	}
	var set portSet
	for i := range in {
		p := &in[i]
		field := at(field, i)
		names := namesOf(named{"tcp", p.TCP != nil}, named{"udp", p.UDP != nil}, named{"sctp", p.SCTP != nil},
			named{"destinationNamedPort", p.DestinationNamedPort != ""})
		if !c.oneOf(field, names, suggest.OrList([]string{"tcp", "udp", "sctp", "destinationNamedPort"})) {
			continue
		}
		switch {
		case p.TCP != nil:
			c.portV1alpha2(&set, field+".tcp", policy.TCP, p.TCP.DestinationPort)
		case p.UDP != nil:
			c.portV1alpha2(&set, field+".udp", policy.UDP, p.UDP.DestinationPort)
		case p.SCTP != nil:
			c.portV1alpha2(&set, field+".sctp", policy.SCTP, p.SCTP.DestinationPort)
		default:
			c.portName(field+".destinationNamedPort", p.DestinationNamedPort)
			set.addName(p.DestinationNamedPort)
		}
	}
	return set.groups
}

func (c *clusterPolicy) portV1alpha2(set *portSet, field string, protocol policy.Protocol, in *v1alpha2.Port) {
	if in == nil {
		c.lacks(field+".destinationPort", field, `is empty: expected destinationPort; every port is "destinationPort: {range: {start: 1, end: 65535}}"`)
		return
	}
	field += ".destinationPort"
	switch names := namesOf(named{"number", in.Number != 0}, named{"range", in.Range != nil}); {
	case !c.oneOf(field, names, "number or range"):
	case in.Range != nil:
		set.addRange(protocol, c.portRange(field+".range", in.Range.Start, in.Range.End, true))
	default:
		port := c.portNumber(field+".number", int64(in.Number))
		set.addRange(protocol, policy.PortRange{First: port, Last: port})
	}
}
