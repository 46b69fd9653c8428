package cilium

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// peer is an other end that a rule speaks of, in one IP version if family is not 0.
type peer struct {
	v3.EntityRule
	family policy.Family
}

// peers returns the other ends of a rule. A rule that speaks of none speaks of all, if
// it speaks of ports; otherwise it matches nothing.
func (r *ruleConverter) peers() (out []peer) {
	given := r.endpoints != nil || r.cidr != nil || r.cidrSet != nil || r.entities != nil || r.fqdns != nil ||
		r.groups != nil || r.nodes != nil || r.services != nil
	if !given && len(r.ports)+len(r.icmps) == 0 {
		return nil
	}
	if !given {
		return []peer{{}}
	}
	for i := range r.endpoints {
		out = append(out, r.pods(index(r.word+"Endpoints", i), &r.endpoints[i])...)
	}
	for i, name := range r.entities {
		out = append(out, r.entity(index(r.word+"Entities", i), name)...)
	}
	var nets []netip.Prefix
	for i, text := range r.cidr {
		net, err := parseCIDR(text)
		if err != nil {
			r.invalid(r.field+"."+index(r.word+"CIDR", i), "%q is no CIDR: expected one such as 192.0.2.0/24", text)
			continue
		}
		nets = append(nets, net)
	}
	out = append(out, r.outside(nets, nil)...)
	for i := range r.cidrSet {
		out = append(out, r.cidrRule(index(r.word+"CIDRSet", i), &r.cidrSet[i])...)
	}
	return append(out, r.names()...)
}

// parseCIDR reads a CIDR, or an address, which is all of one.
func parseCIDR(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return parseNet(text)
}

func parseNet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() {
		err = errors.New("an IPv4 address in IPv6")
	}
	return p.Masked(), err
}

// pods returns the pods that a selector matches. In a policy of a namespace it is that
// namespace, unless the selector says which.
func (r *ruleConverter) pods(field string, s *metav1.LabelSelector) []peer {
	reqs := r.requirements(r.field+"."+field, s)
	says := func(f func(*requirement) bool) bool {
		return slices.ContainsFunc(reqs, func(r requirement) bool { return f(&r) })
	}
	if says(func(x *requirement) bool { return x.source == sourceReserved }) {
		if len(reqs) == 1 && (reqs[0].op == metav1.LabelSelectorOpExists || reqs[0].op == metav1.LabelSelectorOpIn && slices.Equal(reqs[0].values, []string{""})) {
			return r.entity(field, reqs[0].key)
		}
		r.losePart(field, "reserved labels beside others cannot be expressed")
		return nil
	}
	saysNamespace := says(func(x *requirement) bool { return x.key == labelNamespace })
	saysLabels := says(func(x *requirement) bool { return strings.HasPrefix(x.key, prefixNamespace) })
	if namespace := r.from.Key.Namespace; namespace != "" && !saysNamespace && !saysLabels {
		reqs = append(reqs, requirement{key: labelNamespace, op: metav1.LabelSelectorOpIn, values: []string{namespace}})
	}
	parts, ok := r.split(reqs, leftOut(r.action))
	if !ok {
		return nil
	}
	out := peer{EntityRule: v3.EntityRule{Selector: podsOnly(parts.own), NamespaceSelector: parts.namespaces}}
	if parts.accounts != "" {
		out.ServiceAccounts = &v3.ServiceAccountMatch{Selector: parts.accounts}
	}
	return []peer{out}
}

// entity returns who an entity is.
func (r *ruleConverter) entity(field, name string) []peer {
	switch name {
	case "all":
		return []peer{{}}
	case "none":
		return nil
	case "world":
		return []peer{{EntityRule: v3.EntityRule{NotSelector: r.inside()}}}
	case "world-ipv4":
		return []peer{{EntityRule: v3.EntityRule{Nets: []string{"0.0.0.0/0"}, NotSelector: r.inside()}, family: policy.IPv4}}
	case "world-ipv6":
		return []peer{{EntityRule: v3.EntityRule{Nets: []string{"::/0"}, NotSelector: r.inside()}, family: policy.IPv6}}
	case "cluster":
		return append([]peer{{EntityRule: v3.EntityRule{Selector: r.inside()}}}, r.set(entityServer, r.servers)...)
	case "host":
		switch {
		case r.word == "to":
			r.losePart(field, "the node that a pod is on cannot be told from other nodes: name addresses of nodes instead")
		case r.action == v3.Deny:
			r.losePart(field, "a node always reaches the pods on it")
		}
		return nil // what it allows of a node to its pods is always allowed
	case "remote-node":
		return r.set(entityNode, r.knownNodes())
	case "kube-apiserver":
		if len(r.servers) == 0 {
			r.losePart(field, "no address of the API server is known: add the EndpointSlice default/kubernetes, or name its addresses with --apiserver-cidr")
			return nil
		}
		return r.set(entityServer, r.servers)
	case "init", "health", "unmanaged", "ingress":
		r.losePart(field, "entity %s cannot be expressed", name)
		return nil
	}
	r.invalid(r.field+"."+field, "%q is no entity: expected all, world, cluster, host, remote-node, kube-apiserver, init, health, unmanaged, ingress or none", name)
	return nil
}

// outside returns the parts of nets that are outside of the cluster, by IP version.
func (r *ruleConverter) outside(nets, except []netip.Prefix) (out []peer) {
	for _, family := range policy.Families {
		in := func(list []netip.Prefix) (texts []string) {
			for _, n := range list {
				if policy.FamilyOf(n.Addr()) == family {
					texts = append(texts, n.String())
				}
			}
			return texts
		}
		if of := in(nets); len(of) > 0 {
			out = append(out, peer{v3.EntityRule{Nets: of, NotNets: in(except), NotSelector: r.inside()}, family})
		}
	}
	return out
}

func (r *ruleConverter) cidrRule(field string, c *CIDRRule) []peer {
	if c.CIDRGroupRef != "" || c.CIDRGroupSelector != nil {
		r.losePart(field, "groups of CIDRs cannot be expressed: write the CIDRs themselves")
		return nil
	}
	net, err := parseNet(c.CIDR)
	if err != nil {
		r.invalid(r.field+"."+field+".cidr", "%q is no CIDR: expected one such as 192.0.2.0/24", c.CIDR)
		return nil
	}
	var except []netip.Prefix
	for i, text := range c.Except {
		at := r.field + "." + field + "." + index("except", i)
		e, err := parseNet(text)
		switch {
		case err != nil:
			r.invalid(at, "%q is no CIDR: expected one such as 192.0.2.0/24", text)
		case !net.Contains(e.Addr()) || e.Bits() < net.Bits():
			r.invalid(at, "%s does not contain %s", net, text)
		case e.Bits() == net.Bits():
			return nil // all of it
		default:
			except = append(except, e)
		}
	}
	return r.outside([]netip.Prefix{net}, except)
}
