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
	var written policy.SelectedPeer
	accounts := r.accounts(field+".serviceAccounts", in.ServiceAccounts)
	switch {
	case !blank(in.NamespaceSelector):
		parts = append(parts, r.namespaces(field+".namespaceSelector", in.NamespaceSelector))
		writeNamespaces(&written, in.NamespaceSelector)
	case r.key.Namespace != "" && (!blank(in.Selector) || !blank(in.NotSelector) || accounts != nil):
		// A namespaced policy means its own namespace, as soon as it speaks of
		// labels at all.
		parts = append(parts, selector.Equals(labelNamespace, r.key.Namespace))
		written.Namespace = r.key.Namespace
	}
	if !blank(in.Selector) {
		parts = append(parts, r.selector(field+".selector", in.Selector))
	}
	parts = append(parts, accounts...)
	if parts == nil {
		return nil
	}
	peers := &policy.PeerSet{Selector: selector.And(parts...)}
	if a := in.ServiceAccounts; a != nil {
		written.ServiceAccounts = strings.Join(a.Names, ", ")
		if !blank(a.Selector) {
			written.ServiceAccountSelector = a.Selector
		}
	}
	if written != (policy.SelectedPeer{}) || blank(in.Selector) { // else the selector says it alone
		written.Selector = strings.Trim(in.Selector, " \t")
		peers.AsWritten = written
	}
	return peers
}

// writeNamespaces notes which namespaces a selector means, for a reader.
func writeNamespaces(p *policy.SelectedPeer, text string) {
	switch s, err := selector.Parse(text); {
	case err == nil && s.IsAll():
		p.AnyNamespace = true
	case err == nil && s.IsGlobal():
		p.NoNamespace = true
	default:
		p.NamespaceSelector = strings.Trim(text, " \t")
	}
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
