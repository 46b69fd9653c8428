package cilium

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// world finds out which addresses nodes and the API server have.
func (c *converter) world(resources []store.Resource, opts Options) {
	c.nodes, c.servers = slices.Clone(opts.Nodes), slices.Clone(opts.APIServer)
	add := func(to *[]netip.Prefix, text string) {
		if a, err := netip.ParseAddr(text); err == nil {
			a = a.Unmap().WithZone("")
			*to = append(*to, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for i := range resources {
		switch o := resources[i].Object.(type) {
		case *corev1.Node:
			for _, a := range o.Status.Addresses {
				add(&c.nodes, a.Address) // names among them are none
			}
		case *corev1.Pod:
			add(&c.nodes, o.Status.HostIP)
			for _, ip := range o.Status.HostIPs {
				add(&c.nodes, ip.IP)
			}
		case *discoveryv1.EndpointSlice:
			if o.Namespace == "default" && o.Labels[discoveryv1.LabelServiceName] == "kubernetes" {
				for _, e := range o.Endpoints {
					for _, a := range e.Addresses {
						add(&c.servers, a)
					}
				}
			}
		}
	}
	for _, list := range []*[]netip.Prefix{&c.nodes, &c.servers} {
		slices.SortFunc(*list, comparePrefixes)
		*list = slices.Compact(*list)
	}
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// set returns what is in a network set that stands for an entity; nothing if the set
// would be empty. It is used from now on.
func (p *policyConverter) set(entity string, nets []netip.Prefix) []peer {
	if len(nets) == 0 {
		return nil
	}
	set := p.newSet(entity, "cilium-"+entity)
	if set.Spec.Nets == nil {
		for _, n := range nets {
			set.Spec.Nets = append(set.Spec.Nets, n.String())
		}
	}
	return []peer{{EntityRule: v3.EntityRule{Selector: labelEntity + " == '" + entity + "'"}}}
}

// newSet returns the network set with a value of the label, made when it is first
// asked for.
func (p *policyConverter) newSet(value, name string) *v3.GlobalNetworkSet {
	for _, sets := range []map[string]*store.Resource{p.converter.sets, p.sets} {
		if r := sets[value]; r != nil {
			return r.Object.(*v3.GlobalNetworkSet)
		}
	}
	key := p.free(policy.Key{Kind: policy.KindGlobalNetworkSet, Name: name})
	set := &v3.GlobalNetworkSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: v3.GroupVersion, Kind: key.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: key.Name, Labels: map[string]string{labelEntity: value}},
	}
	if p.sets == nil {
		p.sets = map[string]*store.Resource{}
	}
	p.sets[value] = &store.Resource{Key: key, Object: set, Origin: p.from.Origin}
	return set
}

// knownNodes returns the addresses of nodes, and notes that they were asked for.
func (r *ruleConverter) knownNodes() []netip.Prefix {
	r.asksNodes = true
	return r.converter.nodes
}

// inside matches what is no part of the outside world: pods, and nodes.
func (r *ruleConverter) inside() string {
	if len(r.set(entityNode, r.knownNodes())) == 0 {
		return isPod
	}
	return isPod + " || " + labelEntity + " == '" + entityNode + "'"
}
