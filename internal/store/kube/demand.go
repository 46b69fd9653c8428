package kube

import (
	"slices"
	"time"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// EndpointSlices change with every pod that becomes ready, and come whole each
// time. Most clusters have no policy that refers to a service, and then nobody
// needs them: they are read, with the services, from when the first such policy
// is seen. That policy waits for them. Of a Deny rule that refers to a service
// nothing would be left without its endpoints.

// demand has the kinds followed that are read on demand. The caller holds mu.
func (g *gather) demand() {
	if g.isDemanded {
		return
	}
	g.isDemanded = true
	for _, st := range g.states {
		if st.kind.onDemand {
			st.synced = false
		}
	}
	g.widen(g.state(policy.KindService))
	close(g.demanded)
}

// holdForServices says how long a change has to wait for the kinds on demand that
// it needs; 0: not at all.
func (g *gather) holdForServices(c *change) time.Duration {
	if !refersToService(c.Object) {
		return 0
	}
	for _, st := range g.states {
		if (st.kind.onDemand || st.kind.Key == policy.KindService) && !st.synced {
			return g.timing.hold
		}
	}
	return 0
}

// refersToService reports whether an object is a policy with a service in a rule.
func refersToService(object any) bool {
	switch o := object.(type) {
	case *v3.NetworkPolicy:
		return rulesReferToService(o.Spec.Ingress) || rulesReferToService(o.Spec.Egress)
	case *v3.GlobalNetworkPolicy:
		return rulesReferToService(o.Spec.Ingress) || rulesReferToService(o.Spec.Egress)
	case *v3.StagedNetworkPolicy:
		return rulesReferToService(o.Spec.Ingress) || rulesReferToService(o.Spec.Egress)
	case *v3.StagedGlobalNetworkPolicy:
		return rulesReferToService(o.Spec.Ingress) || rulesReferToService(o.Spec.Egress)
	}
	return false
}

func rulesReferToService(rules []v3.Rule) bool {
	return slices.ContainsFunc(rules, func(r v3.Rule) bool { return r.Source.Services != nil || r.Destination.Services != nil })
}
