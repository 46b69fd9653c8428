package cilium

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// direction is what a rule says of one direction.
type direction struct {
	direction   policy.Direction
	defaultDeny *bool
	allow, deny []peerRule
}

// peerRule is an IngressRule or an EgressRule: what it demands of the other end.
// Lists that are given and empty match nothing, those that are nil do not count.
type peerRule struct {
	field string
	word  string // "from" or "to", with which the fields begin

	endpoints, requires, nodes []metav1.LabelSelector
	cidr                       []string
	cidrSet                    []CIDRRule
	entities                   []string
	groups, services           []Opaque
	fqdns                      []FQDN

	ports          []PortRule
	icmps          []ICMPRule
	authentication *Authentication
}

// directions brings a rule into a form that is the same for both directions.
func directions(field string, r *Rule) []direction {
	ingress := func(name string, rules []IngressRule) (out []peerRule) {
		for i, x := range rules {
			out = append(out, peerRule{
				field: fmt.Sprintf("%s.%s[%d]", field, name, i), word: "from",
				endpoints: x.FromEndpoints, requires: x.FromRequires, nodes: x.FromNodes, cidr: x.FromCIDR, cidrSet: x.FromCIDRSet,
				entities: x.FromEntities, groups: x.FromGroups, ports: x.ToPorts, icmps: x.ICMPs, authentication: x.Authentication,
			})
		}
		return out
	}
	egress := func(name string, rules []EgressRule) (out []peerRule) {
		for i, x := range rules {
			out = append(out, peerRule{
				field: fmt.Sprintf("%s.%s[%d]", field, name, i), word: "to",
				endpoints: x.ToEndpoints, requires: x.ToRequires, nodes: x.ToNodes, cidr: x.ToCIDR, cidrSet: x.ToCIDRSet,
				entities: x.ToEntities, groups: x.ToGroups, services: x.ToServices, fqdns: x.ToFQDNs,
				ports: x.ToPorts, icmps: x.ICMPs, authentication: x.Authentication,
			})
		}
		return out
	}
	return []direction{
		{policy.Ingress, r.EnableDefaultDeny.Ingress, ingress("ingress", r.Ingress), ingress("ingressDeny", r.IngressDeny)},
		{policy.Egress, r.EnableDefaultDeny.Egress, egress("egress", r.Egress), egress("egressDeny", r.EgressDeny)},
	}
}

// rules converts the rules of a direction: each to one for each of its peers and
// each of its ports.
func (p *policyConverter) rules(d *direction, action v3.Action, rules []peerRule) (out []v3.Rule) {
	for i := range rules {
		r := &ruleConverter{policyConverter: p, peerRule: &rules[i], direction: d.direction, action: action}
		r.check()
		peers, ports := r.peers(), r.l4()
		if r.isLost {
			continue
		}
		for _, peer := range peers {
			for _, port := range ports {
				if rule, ok := r.join(peer, port); ok {
					out = append(out, rule)
				}
			}
		}
	}
	return out
}

// check refuses what Cilium refuses, and what no rule can say.
func (r *ruleConverter) check() {
	var given []string
	for _, l := range []struct {
		name string
		n    int
	}{
		{"Endpoints", len(r.endpoints)}, {"CIDR", len(r.cidr)}, {"CIDRSet", len(r.cidrSet)}, {"Entities", len(r.entities)},
		{"Groups", len(r.groups)}, {"Nodes", len(r.nodes)}, {"Services", len(r.services)}, {"FQDNs", len(r.fqdns)},
	} {
		if l.n > 0 {
			given = append(given, r.word+l.name)
		}
	}
	if len(given) > 1 {
		r.invalid(r.field+"."+given[1], "cannot stand beside %s: write a rule for each", given[0])
	}
	if len(r.icmps) > 0 && len(r.ports) > 0 {
		r.invalid(r.field+".icmps", "cannot stand beside toPorts: write a rule for each")
	}
	if r.action == v3.Deny && len(r.fqdns) > 0 {
		r.invalid(r.field+"."+r.word+"FQDNs", "are for rules that allow")
	}
	if a := r.authentication; a != nil {
		switch {
		case r.action == v3.Deny:
			r.invalid(r.field+".authentication", "is for rules that allow")
		case a.Mode != "disabled":
			r.loseAll("authentication", "that peers authenticate (mode %q) cannot be expressed", a.Mode)
		}
	}
	if len(r.requires) > 0 {
		// To leave it out would allow what other rules, of other policies as well,
		// allow without it.
		r.invalid(r.field+"."+r.word+"Requires", "is no part of Cilium's API any more, and narrows what other rules allow: add what it demands to %sEndpoints of those rules", r.word)
	}
	if len(r.groups) > 0 {
		r.loseAll(r.word+"Groups", "groups of a cloud provider cannot be expressed")
	}
	if len(r.nodes) > 0 {
		r.loseAll(r.word+"Nodes", "nodes by their labels cannot be expressed")
	}
	if len(r.services) > 0 {
		r.loseAll(r.word+"Services", "services without regard to their ports cannot be expressed: name the endpoints behind them")
	}
}

// join makes one rule of a peer and a port. Nothing is of two IP versions.
func (r *ruleConverter) join(peer peer, l4 l4) (v3.Rule, bool) {
	if peer.family != 0 && l4.family != 0 && peer.family != l4.family {
		return v3.Rule{}, false
	}
	rule := v3.Rule{Action: r.action, Protocol: l4.protocol, ICMP: l4.icmp, HTTP: l4.http}
	rule.Destination.Ports = l4.ports
	if l4.family != 0 {
		version := int(l4.family)
		rule.IPVersion = &version
	}
	if r.direction == policy.Ingress {
		rule.Source = peer.EntityRule
	} else {
		ports := rule.Destination.Ports
		rule.Destination = peer.EntityRule
		rule.Destination.Ports = ports
	}
	return rule, true
}
