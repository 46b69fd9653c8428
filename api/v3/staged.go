package v3

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StagedNetworkPolicy says what would be decided if a NetworkPolicy of its name
// were there, changed or gone. It is never enforced.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName={scnp,snp},categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.stagedAction`
// +kubebuilder:printcolumn:name="Selector",type=string,JSONPath=`.spec.selector`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.status=='False')].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type StagedNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedNetworkPolicySpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status PolicyStatus `json:"status,omitzero"`
}

// StagedNetworkPolicySpec is the policy as it would be, and what is staged.
type StagedNetworkPolicySpec struct {
	// StagedAction is Set (the default), Delete, Learn or Ignore.
	// +kubebuilder:default=Set
	// +optional
	StagedAction StagedAction `json:"stagedAction,omitempty"`

	NetworkPolicySpec `json:",inline"`
}

// StagedNetworkPolicyList is a list of staged policies.
//
// +kubebuilder:object:root=true
type StagedNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []StagedNetworkPolicy `json:"items"`
}

// StagedGlobalNetworkPolicy is to GlobalNetworkPolicy what StagedNetworkPolicy
// is to NetworkPolicy.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=sgnp,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Tier",type=string,JSONPath=`.spec.tier`
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.stagedAction`
// +kubebuilder:printcolumn:name="Selector",type=string,JSONPath=`.spec.selector`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.status=='False')].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type StagedGlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedGlobalNetworkPolicySpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status PolicyStatus `json:"status,omitzero"`
}

// StagedGlobalNetworkPolicySpec is the policy as it would be, and what is staged.
type StagedGlobalNetworkPolicySpec struct {
	// StagedAction is Set (the default), Delete, Learn or Ignore.
	// +kubebuilder:default=Set
	// +optional
	StagedAction StagedAction `json:"stagedAction,omitempty"`

	GlobalNetworkPolicySpec `json:",inline"`
}

// StagedGlobalNetworkPolicyList is a list of staged global policies.
//
// +kubebuilder:object:root=true
type StagedGlobalNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []StagedGlobalNetworkPolicy `json:"items"`
}

// StagedKubernetesNetworkPolicy is to the NetworkPolicy of networking.k8s.io
// what StagedNetworkPolicy is to NetworkPolicy.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=sknp,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.stagedAction`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.status=='False')].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type StagedKubernetesNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedKubernetesNetworkPolicySpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status PolicyStatus `json:"status,omitzero"`
}

// StagedKubernetesNetworkPolicySpec is the policy as it would be, and what is
// staged.
// +kubebuilder:validation:XValidation:rule="!has(self.policyTypes) || size(self.policyTypes) < 2 || self.policyTypes[0] != self.policyTypes[1]",message="is given twice: remove one",fieldPath=".policyTypes"
type StagedKubernetesNetworkPolicySpec struct {
	// StagedAction is Set (the default), Delete, Learn or Ignore.
	// +kubebuilder:default=Set
	// +optional
	StagedAction StagedAction `json:"stagedAction,omitempty"`

	networkingv1.NetworkPolicySpec `json:",inline"`
}

// StagedKubernetesNetworkPolicyList is a list of staged Kubernetes policies.
//
// +kubebuilder:object:root=true
type StagedKubernetesNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []StagedKubernetesNetworkPolicy `json:"items"`
}
