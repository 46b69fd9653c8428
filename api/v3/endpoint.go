package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WorkloadEndpoint is one interface of a workload on a host, which policy
// governs as it governs a pod. Its labels are metadata.labels.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=wep
type WorkloadEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WorkloadEndpointSpec `json:"spec,omitempty"`
}

// WorkloadEndpointSpec says where the endpoint is and what addresses it has.
type WorkloadEndpointSpec struct {
	// Orchestrator that runs the workload: "k8s" for a pod.
	// +optional
	Orchestrator string `json:"orchestrator,omitempty"`
	// Node is the host that the workload runs on.
	Node string `json:"node,omitempty"`
	// Workload is the name that the host gives the workload.
	// +optional
	Workload string `json:"workload,omitempty"`
	// Endpoint is the name that the workload gives its interface.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// ContainerID is the container that the interface belongs to.
	// +optional
	ContainerID string `json:"containerID,omitempty"`
	// Pod is the name of the pod that the endpoint belongs to, if it is one.
	// +optional
	Pod string `json:"pod,omitempty"`
	// ServiceAccountName is the service account that the workload runs as.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// InterfaceName is the host's side of the workload's link.
	// +optional
	InterfaceName string `json:"interfaceName,omitempty"`
	// MAC is the hardware address of the interface.
	// +optional
	MAC string `json:"mac,omitempty"`
	// IPNetworks holds the endpoint's addresses, as "192.0.2.1/32" or "192.0.2.1".
	// +listType=set
	// +optional
	IPNetworks []string `json:"ipNetworks,omitempty"`
	// Profiles name what decides where no policy does; without any, that is denied,
	// unless the endpoint is a pod.
	// +optional
	Profiles []string `json:"profiles,omitempty"`
	// Ports are those that rules may refer to by name.
	// +listType=atomic
	// +optional
	Ports []EndpointPort `json:"ports,omitempty"`
}

// EndpointPort is a port of an endpoint that has a name.
//
// +kubebuilder:validation:XValidation:rule="self.protocol == 'TCP' || self.protocol == 'UDP' || self.protocol == 'SCTP' || self.protocol == 6 || self.protocol == 17 || self.protocol == 132 || self.protocol == '6' || self.protocol == '17' || self.protocol == '132'",message="has no ports: expected TCP, UDP or SCTP",fieldPath=".protocol"
type EndpointPort struct {
	// Name that rules refer to.
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9_.-]{1,128}$`
	Name string `json:"name"`
	// Protocol is TCP, UDP or SCTP.
	Protocol Protocol `json:"protocol"`
	// Port is a number from 1 to 65535.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int `json:"port"`
}

// WorkloadEndpointList is a list of workload endpoints.
//
// +kubebuilder:object:root=true
type WorkloadEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []WorkloadEndpoint `json:"items"`
}

// HostEndpoint is an interface of a host, or all of them, that policy governs.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName={hep,heps},categories=tierwall
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.node`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.interfaceName`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=='Accepted')].status`,description="Whether it is valid"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type HostEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec HostEndpointSpec `json:"spec,omitempty"`
	// Status is what became of it; the controller writes it.
	// +optional
	Status ObjectStatus `json:"status,omitzero"`
}

// HostEndpointSpec says which host and which of its interfaces.
//
// +kubebuilder:validation:XValidation:rule="(has(self.interfaceName) && size(self.interfaceName) > 0) || (has(self.expectedIPs) && size(self.expectedIPs) > 0)",message="interfaceName or expectedIPs is needed"
type HostEndpointSpec struct {
	// Node is the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// InterfaceName is the name of one interface; "*" is all of them.
	// +optional
	InterfaceName string `json:"interfaceName,omitempty"`
	// ExpectedIPs are the addresses that tell the interface if its name does not.
	// +listType=set
	// +tierwall:schema=`{"items":{"type":"string","anyOf":[{"format":"ipv4"},{"format":"ipv6"}]}}`
	// +optional
	ExpectedIPs []string `json:"expectedIPs,omitempty"`
	// Profiles name what decides where no policy does; without any, that is denied.
	// +optional
	Profiles []string `json:"profiles,omitempty"`
	// Ports are those that rules may refer to by name.
	// +listType=atomic
	// +optional
	Ports []EndpointPort `json:"ports,omitempty"`
}

// HostEndpointList is a list of host endpoints.
//
// +kubebuilder:object:root=true
type HostEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HostEndpoint `json:"items"`
}
