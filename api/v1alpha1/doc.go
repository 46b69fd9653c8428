// Package v1alpha1 holds tierwall's own resources, of the API group
// policy.tierwall.dev: what agents report to the controller.
//
// +kubebuilder:object:generate=true
// +groupName=policy.tierwall.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the resources.
const GroupName = "policy.tierwall.dev"

// GroupVersion is what manifests write as apiVersion.
const GroupVersion = GroupName + "/v1alpha1"

// SchemeGroupVersion is GroupVersion in the form that API machinery wants.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion, &NodePolicyReport{}, &NodePolicyReportList{})
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}

// Resource returns a resource of the group: Resource("nodepolicyreports").
func Resource(name string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(name).GroupResource()
}
