package v3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// SchemeGroupVersion is GroupVersion in the form that API machinery wants.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v3"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion,
		&GlobalNetworkPolicy{}, &GlobalNetworkPolicyList{},
		&GlobalNetworkSet{}, &GlobalNetworkSetList{},
		&HostEndpoint{}, &HostEndpointList{},
		&NetworkPolicy{}, &NetworkPolicyList{},
		&NetworkSet{}, &NetworkSetList{},
		&Profile{}, &ProfileList{},
		&StagedGlobalNetworkPolicy{}, &StagedGlobalNetworkPolicyList{},
		&StagedKubernetesNetworkPolicy{}, &StagedKubernetesNetworkPolicyList{},
		&StagedNetworkPolicy{}, &StagedNetworkPolicyList{},
		&Tier{}, &TierList{},
		&WorkloadEndpoint{}, &WorkloadEndpointList{},
	)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}

// Resource returns a resource of the group: Resource("tiers").
func Resource(name string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(name).GroupResource()
}
