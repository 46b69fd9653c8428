package modeltest

import (
	"encoding/binary"
	"maps"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// builder makes the objects of large models.
type builder struct {
	model policy.Model
	pods  uint32
}

// newBuilder begins a model with the fixed tiers and the tiers given, in order
// from 100; these end in Pass.
func newBuilder(tiers ...string) *builder {
	b := &builder{}
	for i, name := range tiers {
		b.model.Tiers = append(b.model.Tiers, &policy.Tier{Name: name, Order: float64(100 * (i + 1)), DefaultAction: policy.Pass})
	}
	b.model.Tiers = append(b.model.Tiers, policy.FixedTiers()...)
	return b
}

// nsLabels returns the labels that a namespace adds to its objects.
func nsLabels(name string, own map[string]string) map[string]string {
	m := map[string]string{
		namespaceKey:                       name,
		"pcns.projectcalico.org/name":      name,
		"pcns.kubernetes.io/metadata.name": name,
	}
	for k, v := range own {
		m["pcns."+k] = v
	}
	return m
}

// pod adds a pod with the next free address from 10.0.0.1 on. Its labels are
// those of the namespace and the workload, as labels gives them.
func (b *builder) pod(namespace, name string, owner policy.Key, labels selector.Labels, ports ...policy.NamedPort) *policy.Endpoint {
	b.pods++
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24+b.pods)
	ep := &policy.Endpoint{
		Key:      policy.Key{Kind: policy.KindPod, Namespace: namespace, Name: name},
		Addrs:    []netip.Addr{netip.AddrFrom4(a)},
		Labels:   labels,
		Ports:    ports,
		Profiles: []string{"kns." + namespace},
		Owner:    owner,
	}
	b.model.Endpoints = append(b.model.Endpoints, ep)
	return ep
}

// podLabels puts together what a selector sees of a pod.
func podLabels(namespace map[string]string, own ...string) selector.Labels {
	m := maps.Clone(namespace)
	m["projectcalico.org/orchestrator"] = "k8s"
	m["projectcalico.org/serviceaccount"] = "default"
	for i := 0; i+1 < len(own); i += 2 {
		m[own[i]] = own[i+1]
	}
	return selector.NewLabels(m)
}

// add adds a policy that governs the directions it has rules for, or the one given.
func (b *builder) add(p *policy.Policy, governs ...policy.Direction) {
	for _, dir := range policy.Directions {
		p.Types[dir] = len(p.Rules[dir]) > 0
		for i := range p.Rules[dir] {
			p.Rules[dir][i].Index = i
		}
	}
	for _, dir := range governs {
		p.Types[dir] = true
	}
	b.model.Policies = append(b.model.Policies, p)
}

// kubernetes makes a policy as translation makes it of a Kubernetes NetworkPolicy.
func kubernetes(namespace, name string, pods *selector.Selector) *policy.Policy {
	return &policy.Policy{
		Key:      policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: namespace, Name: name},
		Tier:     "default",
		Order:    1000,
		Selector: selector.And(selector.Equals(namespaceKey, namespace), pods),
	}
}

// global makes a GlobalNetworkPolicy.
func global(tier, name string, order float64, selects *selector.Selector) *policy.Policy {
	return &policy.Policy{
		Key:      policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name},
		Tier:     tier,
		Order:    order,
		Selector: selects,
	}
}

// rule makes a rule for a protocol and ports; no port is every port.
func rule(action policy.Action, protocol policy.Protocol, ports ...uint16) policy.Rule {
	r := policy.Rule{Action: action, Protocol: &protocol}
	if len(ports) > 0 {
		r.Destination.Ports = &policy.Ports{}
		for _, n := range ports {
			r.Destination.Ports.Ranges = append(r.Destination.Ports.Ranges, policy.PortRange{First: n, Last: n})
		}
	}
	return r
}

func from(r policy.Rule, peers *selector.Selector) policy.Rule {
	r.Source.Set = &policy.PeerSet{Selector: peers, EndpointsOnly: true}
	return r
}

func to(r policy.Rule, peers *selector.Selector) policy.Rule {
	r.Destination.Set = &policy.PeerSet{Selector: peers, EndpointsOnly: true}
	return r
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
