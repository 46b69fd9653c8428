package v3

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StagedNetworkPolicy says what would be decided if a NetworkPolicy of its name
// were there, changed or gone. It is never enforced.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=snp
type StagedNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedNetworkPolicySpec `json:"spec,omitempty"`
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
// +kubebuilder:resource:scope=Cluster,shortName=sgnp
type StagedGlobalNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedGlobalNetworkPolicySpec `json:"spec,omitempty"`
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
// +kubebuilder:resource:shortName=sknp
type StagedKubernetesNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StagedKubernetesNetworkPolicySpec `json:"spec,omitempty"`
}

// StagedKubernetesNetworkPolicySpec is the policy as it would be, and what is
// staged.
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
