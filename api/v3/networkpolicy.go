package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkPolicy applies to endpoints of its namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=caliconetworkpolicy,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Selector",type=string,JSONPath=`.spec.selector`
// +kubebuilder:printcolumn:name="Endpoints",type=integer,JSONPath=`.status.endpoints`,description="Endpoints that it is in force on"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=='Programmed')].status`,description="Whether its present generation is in the kernel of the nodes"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.status=='False')].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkPolicySpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status PolicyStatus `json:"status,omitzero"`
}

// NetworkPolicySpec says which endpoints of the namespace a policy applies to
// and what it does.
//
// +kubebuilder:validation:XValidation:rule="!has(self.egress) || self.egress.all(r, !has(r.http))",message="http is for ingress rules only",fieldPath=".egress",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.ingress) || self.ingress.all(r, !has(r.destination) || !has(r.destination.domains) || size(r.destination.domains) == 0)",message="domains are for the destination of egress rules only",fieldPath=".ingress",reason=FieldValueForbidden
type NetworkPolicySpec struct {
	// Tier that the policy belongs to; left out, it is "default".
	// +kubebuilder:default=default
	// +optional
	Tier string `json:"tier,omitempty"`
	// Order among the policies of the tier, ascending; left out, it comes last.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// Ingress rules, for connections to the endpoints.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	// +optional
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules, for connections from the endpoints.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	// +optional
	Egress []Rule `json:"egress,omitempty"`
	// Selector matches the labels of the endpoints that the policy applies to; left
	// out, it is all().
	// +optional
	Selector string `json:"selector,omitempty"`
	// Types are the directions that the policy governs; left out, they follow from
	// the rules: Egress if there are only egress rules, both if there are both,
	// else Ingress.
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +optional
	Types []PolicyType `json:"types,omitempty"`
	// ServiceAccountSelector matches the labels of the service accounts of the pods
	// that the policy applies to.
	// +optional
	ServiceAccountSelector string `json:"serviceAccountSelector,omitempty"`
	// PerformanceHints change how a policy is prepared, never what it decides.
	// +listType=atomic
	// +optional
	PerformanceHints []PolicyPerformanceHint `json:"performanceHints,omitempty"`
}

// NetworkPolicyList is a list of namespaced policies.
//
// +kubebuilder:object:root=true
type NetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []NetworkPolicy `json:"items"`
}
