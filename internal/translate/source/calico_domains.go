package source

import (
	"net/netip"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// domainPeer translates the domains of one side of a rule, nil for none. Nets beside
// them are further destinations, as they are in a network set with both: no address
// has to be in a net and belong to a name as well.
func (r *calicoRule) domainPeer(field, side string, in *v3.EntityRule, nets []netip.Prefix) *policy.PeerSet {
	if len(in.Domains) == 0 {
		return nil
	}
	at := field + ".domains"
	switch {
	case r.dir != policy.Egress || side != "destination":
		r.add(at, "domains are for the destination of egress rules only: remove them")
		return nil
	case r.rule.Action != v3.Allow:
		r.add(at, "domains are for Allow rules only, but the action is %s: which addresses a name has is only known once it was asked for, so nothing else can rely on it", r.rule.Action)
		return nil
	}
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"selector", !blank(in.Selector)},
		{"notSelector", !blank(in.NotSelector)},
		{"namespaceSelector", !blank(in.NamespaceSelector)},
		{"serviceAccounts", in.ServiceAccounts != nil},
		{"services", in.Services != nil},
	} {
		if other.set {
			r.add(field+"."+other.name, "cannot stand beside domains: write a rule for each")
		}
	}
	peers, set := domainsPeerSet(&r.Problems, at, in.Domains, nets)
	if set != nil {
		r.sets = append(r.sets, set)
	}
	return peers
}

// learned has the destinations of egress Allow rules denote what is learned for the
// domains of the sets that they select. Nothing else may: a Deny would only take
// hold once somebody had asked for the name.
func (r *calicoRule) learned(side string, in *policy.PeerSet) *policy.PeerSet {
	if in != nil && r.dir == policy.Egress && side == "destination" && r.rule.Action == v3.Allow {
		in.DNSLearned = true
	}
	return in
}
