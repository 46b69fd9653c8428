package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkSet is a set of nets and domains, of one namespace, that selectors in
// rules refer to by label.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName={netset,netsets},categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkSetSpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status ObjectStatus `json:"status,omitzero"`
}

// NetworkSetSpec is what a set holds.
type NetworkSetSpec struct {
	// Nets holds CIDRs and addresses, of both IP versions.
	// +listType=atomic
	// +tierwall:schema=`{"items":{"type":"string","anyOf":[{"format":"cidr"},{"format":"ipv4"},{"format":"ipv6"}]}}`
	// +optional
	Nets []string `json:"nets,omitempty"`
	// AllowedEgressDomains holds DNS names, exact or with a leading "*.".
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=254
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`
	// +optional
	AllowedEgressDomains []string `json:"allowedEgressDomains,omitempty"`
}

// NetworkSetList is a list of network sets.
//
// +kubebuilder:object:root=true
type NetworkSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []NetworkSet `json:"items"`
}

// GlobalNetworkSet is a set of nets and domains, of no namespace, that selectors
// in rules refer to by label.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=gns,categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GlobalNetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GlobalNetworkSetSpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status ObjectStatus `json:"status,omitzero"`
}

// GlobalNetworkSetSpec is what a set holds.
type GlobalNetworkSetSpec struct {
	// Nets holds CIDRs and addresses, of both IP versions.
	// +listType=atomic
	// +tierwall:schema=`{"items":{"type":"string","anyOf":[{"format":"cidr"},{"format":"ipv4"},{"format":"ipv6"}]}}`
	// +optional
	Nets []string `json:"nets,omitempty"`
	// AllowedEgressDomains holds DNS names, exact or with a leading "*.".
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=254
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`
	// +optional
	AllowedEgressDomains []string `json:"allowedEgressDomains,omitempty"`
}

// GlobalNetworkSetList is a list of global network sets.
//
// +kubebuilder:object:root=true
type GlobalNetworkSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []GlobalNetworkSet `json:"items"`
}
