package source

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tierwall/tierwall/policy"
)

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
