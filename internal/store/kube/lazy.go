package kube

import (
	"slices"
	"time"

	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// EndpointSlices change with every pod that becomes ready, and come whole each
// time. Most clusters have no policy that refers to a service, and then nobody
// needs them: they are read, with the services, from when the first such policy
// is seen. That policy waits for them. Of a Deny rule that refers to a service
// nothing would be left without its endpoints.
//
// Services alone are read from when something names a domain: their addresses must not
// be learned for names of others.

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

// waitForServices says how long a change has to wait for the lazy kinds that
// it needs; 0: not at all.
func (co *coalescer) waitForServices(c *change) time.Duration {
	if !refersToService(c.Object) {
		return 0
	}
	for _, st := range co.states {
		if (st.kind.lazy || st.kind.Key == policy.KindService) && !st.synced {
			return co.timing.dependency
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

// namesDomains reports whether an object has names of DNS.
func namesDomains(object any) bool {
	switch o := object.(type) {
	case *v3.NetworkSet:
		return len(o.Spec.AllowedEgressDomains) > 0
	case *v3.GlobalNetworkSet:
		return len(o.Spec.AllowedEgressDomains) > 0
	case *v3.NetworkPolicy:
		return rulesNameDomains(o.Spec.Egress)
	case *v3.GlobalNetworkPolicy:
		return rulesNameDomains(o.Spec.Egress)
	case *v3.StagedNetworkPolicy:
		return rulesNameDomains(o.Spec.Egress)
	case *v3.StagedGlobalNetworkPolicy:
		return rulesNameDomains(o.Spec.Egress)
	case *v1alpha2.ClusterNetworkPolicy:
		return slices.ContainsFunc(o.Spec.Egress, func(r v1alpha2.ClusterNetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(r.To, func(p v1alpha2.ClusterNetworkPolicyEgressPeer) bool { return len(p.DomainNames) > 0 })
		})
	case *v1alpha1.AdminNetworkPolicy:
		return slices.ContainsFunc(o.Spec.Egress, func(r v1alpha1.AdminNetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(r.To, func(p v1alpha1.AdminNetworkPolicyEgressPeer) bool { return len(p.DomainNames) > 0 })
		})
	}
	return false
}

func rulesNameDomains(rules []v3.Rule) bool {
	return slices.ContainsFunc(rules, func(r v3.Rule) bool { return len(r.Destination.Domains) > 0 })
}
