package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Profile decides what no policy decides about the endpoints that name it in
// spec.profiles, and gives them labels.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Profile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ProfileSpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status ObjectStatus `json:"status,omitzero"`
}

// ProfileSpec says what a profile decides, and which labels it gives.
//
// +kubebuilder:validation:XValidation:rule="!has(self.egress) || self.egress.all(r, !has(r.http))",message="http is for ingress rules only",fieldPath=".egress",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.ingress) || self.ingress.all(r, !has(r.destination) || !has(r.destination.domains) || size(r.destination.domains) == 0)",message="domains are for the destination of egress rules only",fieldPath=".ingress",reason=FieldValueForbidden
type ProfileSpec struct {
	// Ingress rules, for connections to the endpoints that no tier decides. Pass goes on
	// to the endpoint's next profile.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	// +optional
	Ingress []Rule `json:"ingress,omitempty"`
	// Egress rules, for connections from the endpoints.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100000
	// +optional
	Egress []Rule `json:"egress,omitempty"`
	// LabelsToApply are labels that the endpoints have beside their own.
	// +optional
	LabelsToApply map[string]string `json:"labelsToApply,omitempty"`
}

// ProfileList is a list of profiles.
//
// +kubebuilder:object:root=true
type ProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Profile `json:"items"`
}
