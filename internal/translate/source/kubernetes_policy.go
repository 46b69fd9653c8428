package source

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// kubernetesPolicyOrder is where Kubernetes policies stand in tier default.
const kubernetesPolicyOrder = 1000

// kubernetesPolicy is a NetworkPolicy of networking.k8s.io on its way into the
// model.
type kubernetesPolicy struct {
	namespace string
	texts     bool // peers are to say in words whom they mean
	Problems
}

// translateKubernetesPolicy translates a policy; the result is meaningless if
// there are problems. Peers say in words whom they mean if texts is set.
func translateKubernetesPolicy(key policy.Key, spec *networkingv1.NetworkPolicySpec, texts bool) (*policy.Policy, Problems) {
	k := &kubernetesPolicy{namespace: key.Namespace, texts: texts}
	k.name(key.Name)
	p := &policy.Policy{
		Key:      key,
		Tier:     defaultTier,
		Order:    kubernetesPolicyOrder,
		Selector: k.pods("spec.podSelector", &spec.PodSelector),
		Types:    k.types(spec),
	}
	for i := range spec.Ingress {
		in := &spec.Ingress[i]
		field := at("spec.ingress", i)
		for _, r := range k.rules(i, field, "from", in.From, in.Ports) {
			r.Source = r.Destination
			r.Destination = policy.Peer{Ports: r.Source.Ports}
			r.Source.Ports = nil // ports are the destination's, whoever the peer is
			p.Rules[policy.Ingress] = append(p.Rules[policy.Ingress], r)
		}
	}
	for i := range spec.Egress {
		out := &spec.Egress[i]
		p.Rules[policy.Egress] = append(p.Rules[policy.Egress], k.rules(i, at("spec.egress", i), "to", out.To, out.Ports)...)
	}
	return p, k.Problems
}

func (k *kubernetesPolicy) types(spec *networkingv1.NetworkPolicySpec) [2]bool {
	var governs [2]bool
	for i, t := range spec.PolicyTypes {
		field := at("spec.policyTypes", i)
		k.word(field, string(t), string(networkingv1.PolicyTypeIngress), string(networkingv1.PolicyTypeEgress))
		if slices.Contains(spec.PolicyTypes[:i], t) {
			k.add(field, "%s is given twice: remove one", t)
		}
		governs[policy.Ingress] = governs[policy.Ingress] || t == networkingv1.PolicyTypeIngress
		governs[policy.Egress] = governs[policy.Egress] || t == networkingv1.PolicyTypeEgress
	}
	if len(spec.PolicyTypes) == 0 {
		governs[policy.Ingress] = true
		governs[policy.Egress] = len(spec.Egress) > 0
	}
	return governs
}

// rules translates one source rule: a rule for each peer and each protocol, all
// with its index. The peer and the ports are put at the destination.
func (k *kubernetesPolicy) rules(index int, field, list string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []policy.Rule {
	groups := k.portGroups(field+".ports", ports)
	var from []policy.Peer
	for i := range peers {
		from = append(from, k.peer(at(field+"."+list, i), &peers[i]))
	}
	if len(peers) == 0 {
		from = []policy.Peer{{}} // everyone
	}
	out := make([]policy.Rule, 0, len(from)*len(groups))
	for _, peer := range from {
		for _, g := range groups {
			r := policy.Rule{Index: index, Action: policy.Allow, Protocol: g.protocol, Destination: peer}
			r.Destination.Ports = g.ports
			out = append(out, r)
		}
	}
	return out
}

// peer translates one item of from or to.
func (k *kubernetesPolicy) peer(field string, in *networkingv1.NetworkPolicyPeer) policy.Peer {
	selects := in.PodSelector != nil || in.NamespaceSelector != nil
	switch {
	case in.IPBlock != nil && selects:
		k.add(field, "ipBlock cannot be combined with podSelector or namespaceSelector: make them items of their own")
		k.ipBlock(field+".ipBlock", in.IPBlock) // for what is wrong with it itself
	case in.IPBlock != nil:
		return k.ipBlock(field+".ipBlock", in.IPBlock)
	case !selects:
		k.lacks(field, field, "is empty: expected a podSelector, a namespaceSelector, both or an ipBlock")
	}
	if !selects {
		return policy.Peer{}
	}
	var parts []*selector.Selector
	if in.NamespaceSelector != nil {
		parts = append(parts, k.labels(field+".namespaceSelector", in.NamespaceSelector, namespaceOwnKey))
	} else {
		parts = append(parts, selector.Equals(labelNamespace, k.namespace))
	}
	if in.PodSelector != nil {
		parts = append(parts, k.labels(field+".podSelector", in.PodSelector, OwnKey))
	}
	parts = append(parts, IsPod())
	peers := &policy.PeerSet{Selector: selector.And(parts...), EndpointsOnly: true}
	if k.texts {
		peers.AsWritten = k.asWritten(in)
	}
	return policy.Peer{Set: peers}
}

// asWritten returns which pods a peer means, for a reader.
func (k *kubernetesPolicy) asWritten(in *networkingv1.NetworkPolicyPeer) policy.PodsPeer {
	p := policy.PodsPeer{Labels: labelsText(in.PodSelector), Namespaces: labelsText(in.NamespaceSelector)}
	if in.NamespaceSelector == nil {
		p.Namespace = k.namespace
	}
	return p
}

func (k *kubernetesPolicy) ipBlock(field string, in *networkingv1.IPBlock) policy.Peer {
	block, err := parseNet(in.CIDR, false)
	if err != nil {
		k.add(field+".cidr", "%v", err)
		k.nets(field+".except", in.Except, false) // for what is wrong with it itself
		return policy.Peer{}
	}
	peer := policy.Peer{Nets: []netip.Prefix{block}, NotNets: k.nets(field+".except", in.Except, false)}
	for i, text := range in.Except {
		except, err := parseNet(text, false)
		if err == nil && (except.Bits() <= block.Bits() || !block.Overlaps(except)) {
			k.add(at(field+".except", i), "%s is no part of %s: expected a smaller block inside it", text, in.CIDR)
		}
	}
	return peer
}
