package translate

import (
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

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
	problems
}

// translateKubernetesPolicy translates a policy; the result is meaningless if
// there are problems. Peers say in words whom they mean if texts is set.
func translateKubernetesPolicy(key policy.Key, spec *networkingv1.NetworkPolicySpec, texts bool) (*policy.Policy, problems) {
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
	return p, k.problems
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
		parts = append(parts, k.labels(field+".podSelector", in.PodSelector, ownKey))
	}
	parts = append(parts, isPod())
	entities := &policy.PeerSet{Selector: selector.And(parts...), EndpointsOnly: true}
	if k.texts {
		entities.AsWritten = k.text(in)
	}
	return policy.Peer{Set: entities}
}

// text says to a reader which pods a peer means.
func (k *kubernetesPolicy) text(in *networkingv1.NetworkPolicyPeer) string {
	text := "pods"
	if in.PodSelector != nil {
		if labels := metav1.FormatLabelSelector(in.PodSelector); labels != "<none>" {
			text += " with " + labels
		}
	}
	if in.NamespaceSelector == nil {
		return text + " in namespace " + k.namespace
	}
	if labels := metav1.FormatLabelSelector(in.NamespaceSelector); labels != "<none>" {
		return text + " in namespaces with " + labels
	}
	return text + " in any namespace"
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

// portGroup is what one rule of the model can say of ports: one protocol.
type portGroup struct {
	protocol *policy.Protocol
	ports    *policy.Ports // nil: every port of the protocol
}

// portGroups puts ports of one protocol together, in the order in which the
// protocols are first named. No ports at all is every protocol.
func (k *kubernetesPolicy) portGroups(field string, ports []networkingv1.NetworkPolicyPort) []portGroup {
	if len(ports) == 0 {
		return []portGroup{{}}
	}
	var groups []portGroup
	for i := range ports {
		protocol := k.portProtocol(at(field, i)+".protocol", ports[i].Protocol)
		g := slices.IndexFunc(groups, func(g portGroup) bool { return *g.protocol == protocol })
		if g < 0 {
			g = len(groups)
			groups = append(groups, portGroup{protocol: &protocol, ports: &policy.Ports{}})
		}
		k.addPort(at(field, i), &groups[g], &ports[i])
	}
	return groups
}

func (k *kubernetesPolicy) portProtocol(field string, p *corev1.Protocol) policy.Protocol {
	if p == nil {
		return policy.TCP
	}
	return k.portedProtocol(field, string(*p))
}

func (k *kubernetesPolicy) addPort(field string, g *portGroup, in *networkingv1.NetworkPolicyPort) {
	if in.Port == nil {
		if in.EndPort != nil {
			k.lacks(field+".port", field+".endPort", "needs port, which says where the range begins")
		}
		g.ports = nil // the whole protocol, whatever else the group lists
		return
	}
	if in.Port.Type == intstr.String {
		if in.EndPort != nil {
			k.add(field+".endPort", "needs a numeric port, but port is %q", in.Port.StrVal)
		}
		k.portName(field+".port", in.Port.StrVal)
		if g.ports != nil {
			g.ports.Names = append(g.ports.Names, in.Port.StrVal)
		}
		return
	}
	r := policy.PortRange{First: k.portNumber(field+".port", int64(in.Port.IntVal))}
	r.Last = r.First
	if in.EndPort != nil {
		r.Last = k.portNumber(field+".endPort", int64(*in.EndPort))
		if *in.EndPort < in.Port.IntVal {
			k.add(field+".endPort", "%d is less than port %d: the range ends before it begins", *in.EndPort, in.Port.IntVal)
		}
	}
	if g.ports != nil {
		g.ports.Ranges = append(g.ports.Ranges, r)
	}
}

// portName checks the name of a port: at most 15 of a-z 0-9 -, with a letter.
func (k *kubernetesPolicy) portName(field, name string) {
	letter := false
	for i := range len(name) {
		letter = letter || 'a' <= name[i] && name[i] <= 'z'
	}
	if _, err := strconv.Atoi(name); err == nil {
		k.add(field, "%q is a number in quotes: write it without them", name)
		return
	}
	if !isDNSLabel(name) || len(name) > 15 || !letter {
		k.add(field, "%q is no port's name: expected at most 15 lower case letters, digits and '-', a letter among them", name)
	}
}
