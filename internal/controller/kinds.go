package controller

import (
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// kind is one kind of objects that the controller judges.
type kind struct {
	key        string // as in policy.Key
	apiVersion string
	kind       string // as in manifests
	resource   string // as in URLs
	namespaced bool
	// form is which status its objects have.
	form form
}

// form is what a status holds.
type form uint8

const (
	noStatus     form = iota // only Events
	objectStatus             // whether it is valid
	stagedStatus             // the same, in the status of a policy
	policyStatus             // and how far it is in force
	conditions               // the same, in conditions alone
)

// kinds are those that the controller judges.
var kinds = []*kind{
	calico(policy.KindTier, "tiers", false, objectStatus),
	calico(policy.KindNetworkSet, "networksets", true, objectStatus),
	calico(policy.KindGlobalNetworkSet, "globalnetworksets", false, objectStatus),
	calico("HostEndpoint", "hostendpoints", false, objectStatus),
	calico(policy.KindNetworkPolicy, "networkpolicies", true, policyStatus),
	calico(policy.KindGlobalNetworkPolicy, "globalnetworkpolicies", false, policyStatus),
	calico("StagedNetworkPolicy", "stagednetworkpolicies", true, stagedStatus),
	calico("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", false, stagedStatus),
	calico("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", true, stagedStatus),
	cluster(policy.KindClusterNetworkPolicy, "clusternetworkpolicies", v1alpha2.GroupVersion.String()),
	cluster(policy.KindAdminNetworkPolicy, "adminnetworkpolicies", v1alpha1.GroupVersion.String()),
	cluster(policy.KindBaselineAdminNetworkPolicy, "baselineadminnetworkpolicies", v1alpha1.GroupVersion.String()),
	{
		key: policy.KindKubernetesNetworkPolicy, kind: "NetworkPolicy", apiVersion: "networking.k8s.io/v1",
		resource: "networkpolicies", namespaced: true,
	},
}

func calico(name, resource string, namespaced bool, f form) *kind {
	return &kind{key: name, kind: name, apiVersion: v3.GroupVersion, resource: resource, namespaced: namespaced, form: f}
}

func cluster(name, resource, apiVersion string) *kind {
	return &kind{key: name, kind: name, apiVersion: apiVersion, resource: resource, form: conditions}
}

// countsNodes reports whether the status says how far an object is in force.
func (f form) countsNodes() bool { return f == policyStatus || f == conditions }

var kindOf = func() map[string]*kind {
	out := map[string]*kind{}
	for _, k := range kinds {
		out[k.key] = k
	}
	return out
}()

// path is that of an object, of a part of it ("status"), or of all objects for an
// empty name.
func (k *kind) path(namespace, name, part string) []string {
	p := []string{"apis", k.apiVersion}
	if namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	p = append(p, k.resource)
	if name != "" {
		p = append(p, name)
	}
	if part != "" {
		p = append(p, part)
	}
	return p
}
