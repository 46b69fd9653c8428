package cilium_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/policy"
)

// reference decides connections by Cilium's policies themselves, as plainly as can be.
type reference struct {
	namespaced  []*cilium.NetworkPolicy
	clusterwide []*cilium.ClusterwideNetworkPolicy
	pods        []pod
	nodes       []netip.Addr
	namespaces  map[string]map[string]string // labels by name
	servers     []netip.Addr
}

type pod struct {
	namespace, name, account string
	labels                   map[string]string
	ports                    map[string]uint16
	addr                     netip.Addr
}

func (r *reference) podAt(a netip.Addr) *pod {
	for i := range r.pods {
		if r.pods[i].addr == a {
			return &r.pods[i]
		}
	}
	return nil
}

func (r *reference) allows(f policy.Flow) bool {
	if f.Src == f.Dst {
		return true
	}
	src, dst := r.podAt(f.Src), r.podAt(f.Dst)
	return (src == nil || r.decides(src, policy.Egress, f.Dst, f)) && (dst == nil || r.decides(dst, policy.Ingress, f.Src, f))
}

// section is a rule of one direction in a form that is the same for both.
type section struct {
	endpoints []metav1.LabelSelector
	cidr      []string
	cidrSet   []cilium.CIDRRule
	entities  []string
	fqdns     []cilium.FQDN
	ports     []cilium.PortRule
	icmps     []cilium.ICMPRule
}

func (r *reference) decides(self *pod, dir policy.Direction, peer netip.Addr, f policy.Flow) bool {
	allowed, byDefault := false, false
	each := func(namespace string, spec *cilium.Rule) (denied bool) {
		if namespace != "" && self.namespace != namespace || !r.selects(*spec.EndpointSelector, self) {
			return false
		}
		var allow, deny []section
		explicit := spec.EnableDefaultDeny.Ingress
		if dir == policy.Ingress {
			allow, deny = fromIngress(spec.Ingress), fromIngress(spec.IngressDeny)
		} else {
			explicit = spec.EnableDefaultDeny.Egress
			allow, deny = fromEgress(spec.Egress), fromEgress(spec.EgressDeny)
		}
		if len(allow)+len(deny) > 0 {
			byDefault = byDefault || explicit == nil || *explicit
		}
		for _, s := range deny {
			if r.matches(s, namespace, dir, peer, f) {
				return true
			}
		}
		for _, s := range allow {
			allowed = allowed || r.matches(s, namespace, dir, peer, f)
		}
		return false
	}
	for _, p := range r.namespaced {
		for _, spec := range specs(p.Spec, p.Specs) {
			if each(p.Namespace, spec) {
				return false
			}
		}
	}
	for _, p := range r.clusterwide {
		for _, spec := range specs(p.Spec, p.Specs) {
			if each("", spec) {
				return false
			}
		}
	}
	return allowed || !byDefault
}

func specs(one *cilium.Rule, many []cilium.Rule) (out []*cilium.Rule) {
	if one != nil {
		out = append(out, one)
	}
	for i := range many {
		out = append(out, &many[i])
	}
	return out
}

func fromIngress(rules []cilium.IngressRule) (out []section) {
	for _, x := range rules {
		out = append(out, section{x.FromEndpoints, x.FromCIDR, x.FromCIDRSet, x.FromEntities, nil, x.ToPorts, x.ICMPs})
	}
	return out
}

func fromEgress(rules []cilium.EgressRule) (out []section) {
	for _, x := range rules {
		out = append(out, section{x.ToEndpoints, x.ToCIDR, x.ToCIDRSet, x.ToEntities, x.ToFQDNs, x.ToPorts, x.ICMPs})
	}
	return out
}

func (r *reference) matches(s section, namespace string, dir policy.Direction, peer netip.Addr, f policy.Flow) bool {
	l3 := s.endpoints != nil || s.cidr != nil || s.cidrSet != nil || s.entities != nil || s.fqdns != nil
	if !l3 && len(s.ports)+len(s.icmps) == 0 {
		return false
	}
	return (!l3 || r.isPeer(s, namespace, peer)) && r.isL4(s, dir, f)
}

func (r *reference) isPeer(s section, namespace string, peer netip.Addr) bool {
	p := r.podAt(peer)
	isNode := slices.Contains(r.nodes, peer)
	world := p == nil && !isNode
	for _, sel := range s.endpoints {
		if p == nil {
			continue
		}
		says := false
		keys := slices.Collect(mapsKeys(sel.MatchLabels))
		for _, e := range sel.MatchExpressions {
			keys = append(keys, e.Key)
		}
		for _, k := range keys {
			says = says || strings.Contains(k, "io.kubernetes.pod.namespace") || strings.Contains(k, "io.cilium.k8s.namespace.labels.")
		}
		if (says || namespace == "" || p.namespace == namespace) && r.selects(sel, p) {
			return true
		}
	}
	for _, c := range s.cidr {
		if world && within(c, peer) {
			return true
		}
	}
	for _, c := range s.cidrSet {
		if world && within(c.CIDR, peer) && !slices.ContainsFunc(c.Except, func(e string) bool { return within(e, peer) }) {
			return true
		}
	}
	for _, e := range s.entities {
		switch e {
		case "all":
			return true
		case "world":
			if world {
				return true
			}
		case "cluster":
			if !world || slices.Contains(r.servers, peer) {
				return true
			}
		case "remote-node":
			if isNode {
				return true
			}
		case "kube-apiserver":
			if slices.Contains(r.servers, peer) {
				return true
			}
		}
	}
	return false
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func within(cidr string, a netip.Addr) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Contains(a)
}

func (r *reference) isL4(s section, dir policy.Direction, f policy.Flow) bool {
	if len(s.ports)+len(s.icmps) == 0 {
		return true
	}
	for _, rule := range s.ports {
		for _, p := range rule.Ports {
			protocol := strings.ToUpper(p.Protocol)
			any := (protocol == "" || protocol == "ANY") && (f.Protocol == policy.TCP || f.Protocol == policy.UDP || f.Protocol == policy.SCTP)
			if !any && protocol != f.Protocol.String() {
				continue
			}
			n, err := strconv.Atoi(p.Port)
			switch {
			case err != nil && dir == policy.Egress: // a name that has one number in the cluster
				if f.Protocol == policy.TCP && f.DstPort != 0 && r.clusterPort(p.Port) == f.DstPort {
					return true
				}
			case err != nil: // a name, of the destination
				if dst := r.podAt(f.Dst); dst != nil && f.Protocol == policy.TCP && dst.ports[p.Port] == f.DstPort && f.DstPort != 0 {
					return true
				}
			case n == 0 || n == int(f.DstPort) || n <= int(f.DstPort) && int(f.DstPort) <= int(p.EndPort):
				return true
			}
		}
	}
	for _, rule := range s.icmps {
		for _, field := range rule.Fields {
			protocol := policy.ICMP
			if field.Family == "IPv6" {
				protocol = policy.ICMPv6
			}
			if f.Protocol == protocol && f.Src.Is4() == (protocol == policy.ICMP) && int(f.ICMPType) == field.Type.IntValue() {
				return true
			}
		}
	}
	return false
}

// clusterPort returns the one TCP port of a name that pods have; 0 if there is none, or
// several.
func (r *reference) clusterPort(name string) uint16 {
	var found uint16
	for _, p := range r.pods {
		switch n := p.ports[name]; {
		case n == 0 || n == found:
		case found != 0:
			return 0
		default:
			found = n
		}
	}
	return found
}

// selects reports whether a selector matches a pod's labels, and those that Cilium gives it.
func (r *reference) selects(s metav1.LabelSelector, p *pod) bool {
	value := func(key string) (string, bool) {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "k8s:"), "any:")
		if key == "io.kubernetes.pod.namespace" {
			return p.namespace, true
		}
		if key == "io.cilium.k8s.policy.serviceaccount" {
			return p.account, true
		}
		if rest, found := strings.CutPrefix(key, "io.cilium.k8s.namespace.labels."); found {
			v, has := r.namespaces[p.namespace][rest]
			return v, has
		}
		v, has := p.labels[key]
		return v, has
	}
	for k, want := range s.MatchLabels {
		if v, has := value(k); !has || v != want {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		v, has := value(e.Key)
		ok := false
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			ok = has && slices.Contains(e.Values, v)
		case metav1.LabelSelectorOpNotIn:
			ok = !has || !slices.Contains(e.Values, v)
		case metav1.LabelSelectorOpExists:
			ok = has
		case metav1.LabelSelectorOpDoesNotExist:
			ok = !has
		}
		if !ok {
			return false
		}
	}
	return true
}
