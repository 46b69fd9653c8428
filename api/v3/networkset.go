package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkSet is a set of nets and domains, of one namespace, that selectors in
// rules refer to by label.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=netset
type NetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec NetworkSetSpec `json:"spec,omitempty"`
}

// NetworkSetSpec is what a set holds.
type NetworkSetSpec struct {
	// Nets holds CIDRs and addresses, of both IP versions.
	// +listType=set
	// +optional
	Nets []string `json:"nets,omitempty"`
	// AllowedEgressDomains holds DNS names, exact or with a leading "*.".
	// +listType=set
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
// +kubebuilder:resource:scope=Cluster,shortName=gns
type GlobalNetworkSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GlobalNetworkSetSpec `json:"spec,omitempty"`
}

// GlobalNetworkSetSpec is what a set holds.
type GlobalNetworkSetSpec struct {
	// Nets holds CIDRs and addresses, of both IP versions.
	// +listType=set
	// +optional
	Nets []string `json:"nets,omitempty"`
	// AllowedEgressDomains holds DNS names, exact or with a leading "*.".
	// +listType=set
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
