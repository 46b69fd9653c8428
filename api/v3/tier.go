package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Tier is a group of policies. Tiers are asked in the order of spec.order, then
// of their names.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Default",type=string,JSONPath=`.spec.defaultAction`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a tier's name has no dots"
type Tier struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TierSpec `json:"spec,omitempty"`
}

// TierSpec says where a tier stands and how it ends.
type TierSpec struct {
	// Order among the tiers, ascending; left out, the tier comes last.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// DefaultAction is for connections that policies of the tier apply to and none
	// decides: Deny (the default) or Pass.
	// +kubebuilder:validation:Enum=Deny;Pass
	// +kubebuilder:default=Deny
	// +optional
	DefaultAction *Action `json:"defaultAction,omitempty"`
}

// TierList is a list of tiers.
//
// +kubebuilder:object:root=true
type TierList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Tier `json:"items"`
}
