package cilium

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Where converted policies are. What denies, and what allows without denying the
// rest, comes first; the other tier ends in Deny.
const (
	tierOrder   = 999_000
	denyOrder   = 100
	softOrder   = 200
	allowOrder  = 1000 // that of Kubernetes' own policies, with which Cilium's make one
	defaultTier = "default"
)

// Options are what the objects themselves do not tell.
type Options struct {
	// Nodes are the addresses of the cluster's nodes, APIServer those of its API
	// server, beside those that the objects tell.
	Nodes, APIServer []netip.Prefix
}

// Result is what became of Cilium's policies.
type Result struct {
	// Resources are policies, network sets and a tier of projectcalico.org/v3, in the
	// order of their keys. Each has the place of the policy that it was made of.
	Resources []store.Resource
	// Converted is how many policies of Cilium's there were that are valid.
	Converted int
	// Invalid is what Cilium would not accept; such a policy is not converted.
	Invalid []store.Finding
	// Lost is what cannot be expressed, and was left out.
	Lost []store.Finding
	// Notes are for the user's information.
	Notes []store.Finding
}

// Is reports whether a resource is one of Cilium's policies.
func Is(r *store.Resource) bool {
	switch r.Object.(type) {
	case *NetworkPolicy, *ClusterwideNetworkPolicy:
		return true
	}
	return false
}

// Convert converts Cilium's policies among the resources. The others tell which
// nodes there are, and which names are taken.
func Convert(resources []store.Resource, opts Options) Result {
	c := &converter{taken: map[policy.Key]bool{}, sets: map[string]*store.Resource{}}
	for i := range resources {
		c.taken[resources[i].Key] = true
	}
	c.tier = c.free(policy.Key{Kind: policy.KindTier, Name: "cilium"}).Name
	c.world(resources, opts)
	c.portNames = findPortNames(resources)
	for i := range resources {
		r := &resources[i]
		switch p := r.Object.(type) {
		case *NetworkPolicy:
			c.policy(r, p.Spec, p.Specs)
		case *ClusterwideNetworkPolicy:
			c.policy(r, p.Spec, p.Specs)
		}
	}
	c.finish()
	return c.Result
}

// policy converts one of Cilium's policies.
func (c *converter) policy(r *store.Resource, spec *Rule, specs []Rule) {
	p := &policyConverter{converter: c, from: r}
	if errs := validation.IsDNS1123Subdomain(r.Key.Name); len(errs) > 0 {
		p.invalid("metadata.name", "%q is no name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit", r.Key.Name)
	}
	if r.Key.Namespace != "" && len(validation.IsDNS1123Label(r.Key.Namespace)) > 0 {
		p.invalid("metadata.namespace", "%q is no name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit", r.Key.Namespace)
	}
	if spec == nil && len(specs) == 0 {
		p.invalid("spec", "is missing: a policy has spec or specs")
	}
	type part struct {
		field string
		rule  *Rule
	}
	var parts []part
	if spec != nil {
		parts = append(parts, part{"spec", spec})
	}
	for i := range specs {
		parts = append(parts, part{fmt.Sprintf("specs[%d]", i), &specs[i]})
	}
	for _, x := range parts {
		p.rule(x.field, x.rule)
	}
	if p.isInvalid {
		return
	}
	c.Converted++
	c.Lost = append(c.Lost, p.lost...)
	for i := range p.out {
		p.add(&p.out[i])
	}
	for value, set := range p.sets {
		if c.sets[value] == nil {
			c.sets[value] = set
		}
	}
	c.askedNodes = c.askedNodes || p.asksNodes
}

// add returns a policy a name, and its place.
func (p *policyConverter) add(gnp *v3.GlobalNetworkPolicy) {
	prefix := "ccnp-"
	if p.from.Key.Namespace != "" {
		prefix = "cnp-" + p.from.Key.Namespace + "-"
	}
	// A name has one dot, behind its tier.
	name := strings.ReplaceAll(prefix+p.from.Key.Name+gnp.Name, ".", "-")
	key := p.free(policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: gnp.Spec.Tier + "." + name})
	gnp.Name = key.Name
	gnp.TypeMeta = metav1.TypeMeta{APIVersion: v3.GroupVersion, Kind: key.Kind}
	p.Resources = append(p.Resources, store.Resource{Key: key, Object: gnp, Origin: p.from.Origin})
	if gnp.Spec.Tier == p.tier && p.first == nil {
		p.first = p.from
	}
}

// rule converts one rule: to policies that deny, that allow and deny the rest, and
// that only allow.
func (p *policyConverter) rule(field string, r *Rule) {
	selector, ok := p.subject(field, r)
	deny, allow, soft := p.of(selector, denyOrder), p.of(selector, allowOrder), p.of(selector, softOrder)
	deny.Name, soft.Name = "-deny", "-allow"
	for _, d := range directions(field, r) {
		denied := p.rules(&d, v3.Deny, d.deny)
		allowed := p.rules(&d, v3.Allow, d.allow)
		if len(denied) > 0 {
			add(&deny, d.direction, denied)
		}
		switch hasRules := len(d.allow)+len(d.deny) > 0; {
		case !hasRules && d.defaultDeny != nil && *d.defaultDeny:
			// Cilium has nothing there to which it could fasten the default.
			name := strings.ToLower(d.direction.String())
			p.Notes = append(p.Notes, note(p.from.At(field+".enableDefaultDeny."+name, "has no effect in Cilium, since the rule has no %s section: to deny by default write %s: [{}]", name, name)))
		case hasRules && (d.defaultDeny == nil || *d.defaultDeny):
			add(&allow, d.direction, allowed)
		case len(allowed) > 0:
			add(&soft, d.direction, allowed)
		}
	}
	if !ok {
		return
	}
	for _, gnp := range []v3.GlobalNetworkPolicy{deny, soft, allow} {
		if len(gnp.Spec.Types) > 0 {
			p.out = append(p.out, gnp)
		}
	}
}

// of begins a policy of an order, which tells its tier.
func (p *policyConverter) of(s parts, order float64) v3.GlobalNetworkPolicy {
	gnp := v3.GlobalNetworkPolicy{Spec: v3.GlobalNetworkPolicySpec{
		Tier: p.tier, Order: &order,
		Selector: s.own, NamespaceSelector: s.namespaces, ServiceAccountSelector: s.accounts,
	}}
	if order == allowOrder {
		gnp.Spec.Tier = defaultTier
	}
	return gnp
}

func add(gnp *v3.GlobalNetworkPolicy, d policy.Direction, rules []v3.Rule) {
	if d == policy.Ingress {
		gnp.Spec.Types = append(gnp.Spec.Types, v3.PolicyTypeIngress)
		gnp.Spec.Ingress = rules
		return
	}
	gnp.Spec.Types = append(gnp.Spec.Types, v3.PolicyTypeEgress)
	gnp.Spec.Egress = rules
}

// finish adds the tier and the sets that are used, and puts all in order.
func (c *converter) finish() {
	if c.first != nil {
		order, action := float64(tierOrder), v3.Pass
		tier := &v3.Tier{
			TypeMeta:   metav1.TypeMeta{APIVersion: v3.GroupVersion, Kind: policy.KindTier},
			ObjectMeta: metav1.ObjectMeta{Name: c.tier},
			Spec:       v3.TierSpec{Order: &order, DefaultAction: &action},
		}
		c.Resources = append(c.Resources, store.Resource{Key: policy.Key{Kind: policy.KindTier, Name: c.tier}, Object: tier, Origin: c.first.Origin})
	}
	for _, set := range c.sets {
		c.Resources = append(c.Resources, *set)
	}
	if c.askedNodes && len(c.nodes) == 0 {
		c.Notes = append(c.Notes, store.Finding{Note: true, Message: "no node's address is known, so the rules of Cilium's policies take nodes for the outside world: add the Nodes, or name their addresses with --node-cidr"})
	}
	rank := func(r *store.Resource) int {
		return slices.Index([]string{policy.KindTier, policy.KindGlobalNetworkSet, policy.KindGlobalNetworkPolicy}, r.Key.Kind)
	}
	slices.SortStableFunc(c.Resources, func(a, b store.Resource) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), a.Key.Compare(b.Key))
	})
	slices.SortStableFunc(c.Lost, store.Finding.Compare)
	slices.SortStableFunc(c.Invalid, store.Finding.Compare)
}
