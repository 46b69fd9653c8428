package source

import (
	"net/netip"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// peer translates what a rule demands of one side.
func (r *calicoRule) peer(name string, in *v3.EntityRule, protocol *policy.Protocol) policy.Peer {
	field := r.field + "." + name
	for i, text := range in.NotNets {
		if p, err := parseNet(text, false); err == nil && p.Bits() == 0 {
			r.add(at(field+".notNets", i), "%s is every address of its family, so the rule would match nothing: remove the rule, or exclude less", text)
		}
	}
	nets := r.oneFamily(field+".nets", in.Nets)
	domains := r.domainPeer(field, name, in, nets)
	peers := r.peerSet(field, in)
	if domains != nil {
		peers, nets = domains, nil // they are in its set
	}
	if service := r.service(field, name, in, protocol); service != nil {
		peers = service
	}
	return policy.Peer{
		Set:      r.learned(name, peers),
		NotSet:   r.notPeerSet(field, in),
		Nets:     nets,
		NotNets:  r.oneFamily(field+".notNets", in.NotNets),
		Ports:    r.ports(field+".ports", in.Ports, protocol),
		NotPorts: r.ports(field+".notPorts", in.NotPorts, protocol),
	}
}

// peerSet joins the selectors of endpoints and sets of which the address must
// be one; nil if there are none.
func (r *calicoRule) peerSet(field string, in *v3.EntityRule) *policy.PeerSet {
	var parts []*selector.Selector
	var where string
	accounts := r.accounts(field+".serviceAccounts", in.ServiceAccounts)
	switch {
	case !blank(in.NamespaceSelector):
		parts = append(parts, r.namespaces(field+".namespaceSelector", in.NamespaceSelector))
		where = namespacesText(in.NamespaceSelector)
	case r.key.Namespace != "" && (!blank(in.Selector) || !blank(in.NotSelector) || accounts != nil):
		// A namespaced policy means its own namespace, as soon as it speaks of
		// labels at all.
		parts = append(parts, selector.Equals(labelNamespace, r.key.Namespace))
		where = "namespace " + r.key.Namespace
	}
	if !blank(in.Selector) {
		parts = append(parts, r.selector(field+".selector", in.Selector))
	}
	parts = append(parts, accounts...)
	if parts == nil {
		return nil
	}
	return &policy.PeerSet{Selector: selector.And(parts...), AsWritten: r.text(in, where)}
}

// text says to a reader what the selectors demand; "" where the selector alone does.
func (r *calicoRule) text(in *v3.EntityRule, where string) string {
	var words []string
	if text := strings.Trim(in.Selector, " \t"); text != "" {
		if strings.ContainsAny(text, "&|") {
			text = "(" + text + ")"
		}
		words = append(words, text)
	}
	if where != "" {
		words = append(words, where)
	}
	if a := in.ServiceAccounts; a != nil && len(a.Names) > 0 {
		words = append(words, "service accounts "+strings.Join(a.Names, ", "))
	}
	if a := in.ServiceAccounts; a != nil && !blank(a.Selector) {
		words = append(words, "service accounts with "+a.Selector)
	}
	if len(words) == 1 && !blank(in.Selector) {
		return ""
	}
	return strings.Join(words, " in ")
}

// namespacesText says to a reader which namespaces a selector means.
func namespacesText(text string) string {
	switch s, err := selector.Parse(text); {
	case err == nil && s.IsAll():
		return "any namespace"
	case err == nil && s.IsGlobal():
		return "no namespace"
	}
	return "namespaces with " + strings.Trim(text, " \t")
}

// namespaces translates a namespaceSelector. global() has a meaning here, but
// only alone: what is in no namespace has no labels of one.
func (r *calicoRule) namespaces(field, text string) *selector.Selector {
	s := r.anySelector(field, text)
	if s.UsesGlobal() && !s.IsGlobal() {
		r.add(field, "global() cannot be combined: it must be the whole namespaceSelector")
	}
	return asksNamespace(s)
}

// notPeerSet translates notSelector, which is of all namespaces.
func (r *calicoRule) notPeerSet(field string, in *v3.EntityRule) *policy.PeerSet {
	if blank(in.NotSelector) {
		return nil
	}
	return &policy.PeerSet{Selector: r.selector(field+".notSelector", in.NotSelector)}
}

// accounts returns the selectors that ask for service accounts; nil for none.
func (r *calicoRule) accounts(field string, in *v3.ServiceAccountMatch) []*selector.Selector {
	if in == nil {
		return nil
	}
	var parts []*selector.Selector
	if len(in.Names) > 0 {
		for i, name := range in.Names {
			if !isDNSName(name) {
				r.add(at(field+".names", i), "%q is no name of a service account: expected lower case letters, digits, '-' and '.'", name)
			}
		}
		parts = append(parts, selector.In(labelServiceAccount, in.Names...))
	}
	if !blank(in.Selector) {
		parts = append(parts, asksAccount(r.selector(field+".selector", in.Selector)))
	}
	return parts
}

// oneFamily parses CIDRs and checks that all CIDRs of the rule are of one family.
func (r *calicoRule) oneFamily(field string, texts []string) []netip.Prefix {
	for i, text := range texts {
		p, err := parseNet(text, false)
		if err != nil {
			continue // nets reports it
		}
		family := policy.FamilyOf(p.Addr())
		switch r.netFamily {
		case policy.AnyFamily:
			r.netFamily, r.netField = family, at(field, i)
		case family:
		default:
			r.add(at(field, i), "is IPv%d, but %s is IPv%d: write a rule for each, since one rule cannot match both", family, r.netField, r.netFamily)
		}
	}
	return r.nets(field, texts, false)
}
