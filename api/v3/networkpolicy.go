package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkPolicy applies to endpoints of its namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName={cnp,caliconetworkpolicy}
// +kubebuilder:selectablefield:JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
type NetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkPolicySpec `json:"spec,omitempty"`
}

// NetworkPolicySpec says which endpoints of the namespace a policy applies to
// and what it does.
//
// +kubebuilder:validation:XValidation:rule="!has(self.selector) || !self.selector.contains('global(')",message="global() is for namespaceSelector in rules only"
// +kubebuilder:validation:XValidation:rule="!has(self.egress) || self.egress.all(r, !has(r.http))",message="http is for ingress rules only"
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
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules, for connections from the endpoints.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Egress []Rule `json:"egress,omitempty"`
	// Selector matches the labels of the endpoints that the policy applies to; left
	// out, it is all().
	// +kubebuilder:validation:MaxLength=1024
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
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ServiceAccountSelector string `json:"serviceAccountSelector,omitempty"`
	// PerformanceHints change how a policy is prepared, never what it decides.
	// +listType=set
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
