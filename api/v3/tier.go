package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Tier is a group of policies. Tiers are asked in the order of spec.order, then
// of their names.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Order",type=number,JSONPath=`.spec.order`,description="Tiers are asked in this order"
// +kubebuilder:printcolumn:name="DefaultAction",type=string,JSONPath=`..defaultAction`,description="What the tier's end does: as written, or as the controller says where it is left out"
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="a tier's name has lower case letters, digits and '-', and no dots, at most 63 of them"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'default' || !has(self.spec) || ((!has(self.spec.order) || self.spec.order == 1000000.0) && (!has(self.spec.defaultAction) || self.spec.defaultAction == 'Deny'))",message="tier default always has order 1000000 and defaultAction Deny: leave the fields out",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-admin' || !has(self.spec) || ((!has(self.spec.order) || self.spec.order == 1000.0) && (!has(self.spec.defaultAction) || self.spec.defaultAction == 'Pass'))",message="tier kube-admin always has order 1000 and defaultAction Pass: leave the fields out",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'kube-baseline' || !has(self.spec) || ((!has(self.spec.order) || self.spec.order == 10000000.0) && (!has(self.spec.defaultAction) || self.spec.defaultAction == 'Pass'))",message="tier kube-baseline always has order 10000000 and defaultAction Pass: leave the fields out",fieldPath=".spec"
type Tier struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TierSpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status TierStatus `json:"status,omitzero"`
}

// TierSpec says where a tier stands and how it ends.
type TierSpec struct {
	// Order among the tiers, ascending; left out, the tier comes last.
	// +optional
	Order *float64 `json:"order,omitempty"`
	// DefaultAction is for connections that policies of the tier apply to and none
	// decides: Deny or Pass. Left out, it is Deny, and Pass for the tiers kube-admin
	// and kube-baseline.
	// +kubebuilder:validation:XValidation:rule="self == 'Deny' || self == 'Pass'",message="expected Deny or Pass"
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
