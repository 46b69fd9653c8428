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

// startLazyWatches begins to watch the lazy kinds. The caller holds mu.
func (co *coalescer) startLazyWatches() {
	if co.lazyStarted {
		return
	}
	co.lazyStarted = true
	for _, st := range co.states {
		if st.kind.lazy {
			st.synced = false
		}
	}
	co.watchAll(co.state(policy.KindService))
	close(co.lazyWanted)
}

// holdForServices says how long a change has to wait for the lazy kinds that
// it needs; 0: not at all.
func (co *coalescer) holdForServices(c *change) time.Duration {
	if !refersToService(c.Object) {
		return 0
	}
	for _, st := range co.states {
		if (st.kind.lazy || st.kind.Key == policy.KindService) && !st.synced {
			return co.timing.hold
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
