package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GlobalNetworkPolicy applies to endpoints of every namespace and to host
// endpoints.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName={gnp,cgnp}
// +kubebuilder:selectablefield:JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
type GlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GlobalNetworkPolicySpec `json:"spec,omitempty"`
}

// GlobalNetworkPolicySpec says which endpoints a policy applies to and what it
// does. The fields it shares with NetworkPolicySpec mean the same.
//
// +kubebuilder:validation:XValidation:rule="!has(self.selector) || !self.selector.contains('global(')",message="global() is for namespaceSelector in rules only"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaceSelector) || !self.namespaceSelector.contains('global(')",message="global() is for namespaceSelector in rules only"
// +kubebuilder:validation:XValidation:rule="!has(self.egress) || self.egress.all(r, !has(r.http))",message="http is for ingress rules only"
// +kubebuilder:validation:XValidation:rule="!(has(self.doNotTrack) && self.doNotTrack && has(self.preDNAT) && self.preDNAT)",message="doNotTrack and preDNAT exclude each other"
// +kubebuilder:validation:XValidation:rule="(has(self.applyOnForward) && self.applyOnForward) || !((has(self.doNotTrack) && self.doNotTrack) || (has(self.preDNAT) && self.preDNAT))",message="doNotTrack and preDNAT need applyOnForward"
type GlobalNetworkPolicySpec struct {
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
	// Types are the directions that the policy governs.
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +optional
	Types []PolicyType `json:"types,omitempty"`
	// DoNotTrack applies the policy to host endpoints before connection tracking.
	// +optional
	DoNotTrack bool `json:"doNotTrack,omitempty"`
	// PreDNAT applies the policy to host endpoints before destination NAT.
	// +optional
	PreDNAT bool `json:"preDNAT,omitempty"`
	// ApplyOnForward applies the policy also to traffic that a host forwards.
	// +optional
	ApplyOnForward bool `json:"applyOnForward,omitempty"`
	// ServiceAccountSelector matches the labels of the service accounts of the pods
	// that the policy applies to.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ServiceAccountSelector string `json:"serviceAccountSelector,omitempty"`
	// NamespaceSelector matches the labels of the namespaces of the endpoints that
	// the policy applies to; all() leaves host endpoints out.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	NamespaceSelector string `json:"namespaceSelector,omitempty"`
	// PerformanceHints change how a policy is prepared, never what it decides.
	// +listType=set
	// +optional
	PerformanceHints []PolicyPerformanceHint `json:"performanceHints,omitempty"`
}

// GlobalNetworkPolicyList is a list of global policies.
//
// +kubebuilder:object:root=true
type GlobalNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GlobalNetworkPolicy `json:"items"`
}
