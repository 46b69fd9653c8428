package source

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// translateNode translates a node. Its host name is no address.
func translateNode(n *corev1.Node) (*policy.Node, Problems) {
	var ps Problems
	ps.name(n.Name)
	out := &policy.Node{Name: n.Name, Labels: selector.NewLabels(n.Labels)}
	for i, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
			continue
		}
		addr, err := parseAddr(a.Address)
		if err != nil {
			ps.add(at("status.addresses", i)+".address", "%v", err)
			continue
		}
		if !slices.Contains(out.Addrs, addr) {
			out.Addrs = append(out.Addrs, addr)
		}
	}
	return out, ps
}
