package source

import (
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// calicoRule is one rule on its way into the model.
type calicoRule struct {
	*calicoPolicy
	field string
	rule  *v3.Rule
	dir   policy.Direction
	// netFamily is the family of the CIDRs seen so far, and netField where the
	// first one stands.
	netFamily policy.Family
	netField  string
}

func (r *calicoRule) translate(index int) policy.Rule {
	out := policy.Rule{Index: index, Action: r.action()}
	if v := r.rule.IPVersion; v != nil {
		if *v != 4 && *v != 6 {
			r.add(r.field+".ipVersion", "%d is no IP version: expected 4 or 6", *v)
		} else {
			out.Family = policy.Family(*v)
		}
	}
	out.Protocol = r.protocol("protocol", r.rule.Protocol, out.Family)
	out.NotProtocol = r.protocol("notProtocol", r.rule.NotProtocol, out.Family)
	out.ICMP = r.icmp("icmp", r.rule.ICMP, out.Protocol)
	out.NotICMP = r.icmp("notICMP", r.rule.NotICMP, out.Protocol)
	out.HTTP = r.http(out.Protocol)
	out.Source = r.peer("source", &r.rule.Source, out.Protocol)
	out.Destination = r.peer("destination", &r.rule.Destination, out.Protocol)
	r.checkFamilies(out.Family)
	if m := r.rule.Metadata; m != nil {
		r.annotations(r.field+".metadata.annotations", m.Annotations)
	}
	if out.Family == policy.AnyFamily && (out.Source.NotNets != nil || out.Destination.NotNets != nil) {
		// CIDRs of one family make the rule one of that family, those that
		// exclude as well: every address of the other family would pass them.
		out.Family = r.netFamily
	}
	return out
}

var calicoActions = map[v3.Action]policy.Action{
	v3.Allow: policy.Allow, v3.Deny: policy.Deny, v3.Log: policy.Log, v3.Pass: policy.Pass,
}

func (r *calicoRule) action() policy.Action {
	r.word(r.field+".action", string(r.rule.Action), string(v3.Allow), string(v3.Deny), string(v3.Log), string(v3.Pass))
	return calicoActions[r.rule.Action]
}

// checkFamilies holds the family of the rule's CIDRs against its IP version.
func (r *calicoRule) checkFamilies(family policy.Family) {
	if family != policy.AnyFamily && r.netFamily != policy.AnyFamily && family != r.netFamily {
		r.add(r.netField, "is IPv%d, but the rule's ipVersion is %d", r.netFamily, family)
	}
}
