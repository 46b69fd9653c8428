package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The most that a report holds.
const (
	MaxPolicies = 5000
	MaxInvalid  = 100
	// MaxMessage bounds a message and an error, in bytes.
	MaxMessage = 4096
	// MaxNotEnforceable bounds the reasons, and MaxNames the endpoints that each names.
	MaxNotEnforceable = 64
	MaxNames          = 20
	// MaxLocalAddresses bounds the addresses of the node, and MaxTunnelPorts the ports.
	MaxLocalAddresses = 256
	MaxTunnelPorts    = 64
)

// RenewInterval is how often an agent renews its report in a cluster of so many nodes: all of them together
// write a few dozen a second.
func RenewInterval(nodes int) time.Duration {
	return max(2*time.Minute, time.Duration(nodes)*time.Second/25)
}

// OverdueAfter is how long a report that is not renewed may be old in a cluster of so many nodes.
func OverdueAfter(nodes int) time.Duration { return 5 * RenewInterval(nodes) / 2 }

// NodePolicyReport says what an agent enforces on its node, and which addresses the node has. It is
// named after the node and owned by it, so that it goes when the node goes. Agents write it,
// the controller sums it up in the status of the policies, and commands take the addresses from it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=npr,categories=tierwall
// +kubebuilder:printcolumn:name="Endpoints",type=integer,JSONPath=`.report.endpoints`,description="Local endpoints that policy is enforced for"
// +kubebuilder:printcolumn:name="Not enforceable",type=integer,JSONPath=`.report.notEnforceableEndpoints`,description="Local endpoints that policy is not in force for"
// +kubebuilder:printcolumn:name="Applied",type=date,JSONPath=`.report.applied`,description="When the kernel last took a change"
// +kubebuilder:printcolumn:name="Renewed",type=date,JSONPath=`.report.renewed`,description="When the agent last said so: every two minutes, or less often in a large cluster"
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.report.error`,description="Why the kernel does not hold the present policy"
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.report.agentVersion`,description="Version of the agent"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodePolicyReport struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Report is what the agent says.
	Report Report `json:"report"`
}

// Report is what an agent says.
type Report struct {
	// AgentVersion is the version of the agent.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`
	// Applied is when the kernel last took a change of policy.
	// +optional
	Applied metav1.Time `json:"applied,omitzero"`
	// Renewed is when the agent wrote the report, which it does every so often even if nothing has changed. One that is
	// not renewed is of an agent that does not run or does not reach the API server: policy there may be out of date.
	// +optional
	Renewed metav1.Time `json:"renewed,omitzero"`
	// Error says why the kernel does not hold the present policy, that policy cannot be read, or for how many endpoints
	// it is not in force and why; empty if it is for all.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Error string `json:"error,omitempty"`
	// Endpoints is how many local endpoints policy is enforced for.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Endpoints int32 `json:"endpoints"`
	// NotEnforceableEndpoints is how many others policy is in the kernel for and not in force: packets
	// of theirs do not come by there.
	// +kubebuilder:validation:Minimum=0
	// +optional
	NotEnforceableEndpoints int32 `json:"notEnforceableEndpoints,omitempty"`
	// NotEnforceable are the reasons for that. An endpoint may be concerned by several.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	NotEnforceable []NotEnforceable `json:"notEnforceable,omitempty"`
	// Policies are those that apply to at least one local endpoint, by kind,
	// namespace and name.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5000
	// +optional
	Policies []ReportedPolicy `json:"policies,omitempty"`
	// Truncated says that there are more policies than Policies can hold.
	// +optional
	Truncated bool `json:"truncated,omitempty"`
	// Invalid are objects whose present version is not in force, and why.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +optional
	Invalid []InvalidObject `json:"invalid,omitempty"`
	// LocalAddresses are the addresses that the node's kernel delivers to itself, in order: those of its status,
	// of bridges and other virtual interfaces, of a DNS cache on the node. What says nothing of this node is left
	// out: loopback addresses (127.0.0.0/8, ::1), IPv6 link-local ones (fe80::/10), which every interface has, and those
	// of services, which kube-proxy puts on each node in IPVS mode.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=45
	// +optional
	LocalAddresses []string `json:"localAddresses,omitempty"`
	// TunnelPorts are the UDP ports at which interfaces of the node unpack what they are sent, in order, beside
	// the usual ones of VXLAN and Geneve: 4789, 4790, 6081, 8472.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	// +optional
	TunnelPorts []int32 `json:"tunnelPorts,omitempty"`
	// LocalTruncated says that there are more addresses or ports than LocalAddresses and TunnelPorts can hold.
	// +optional
	LocalTruncated bool `json:"localTruncated,omitempty"`
}

// NotEnforceable is a reason for which policy is not in force for some endpoints of the node.
type NotEnforceable struct {
	// Reason is one word for it, such as BridgeBypass or NoHostInterface.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason"`
	// Message says what happens and what to do.
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message"`
	// Endpoints is how many it concerns.
	// +kubebuilder:validation:Minimum=0
	Endpoints int32 `json:"endpoints"`
	// Names are the first of them, as NAMESPACE/NAME.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=507
	// +optional
	Names []string `json:"names,omitempty"`
}

// ReportedPolicy is a policy that applies to some endpoint of the node.
type ReportedPolicy struct {
	// Kind is NetworkPolicy or GlobalNetworkPolicy of projectcalico.org,
	// KubernetesNetworkPolicy for one of networking.k8s.io.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Namespace is empty for a global policy.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Generation is the metadata.generation that is in force; 0 if the store has none.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Endpoints is how many local endpoints it is in force on.
	// +kubebuilder:validation:Minimum=0
	Endpoints int32 `json:"endpoints"`
	// NotEnforceable is how many it applies to beside, on which it is not in force.
	// +kubebuilder:validation:Minimum=0
	// +optional
	NotEnforceable int32 `json:"notEnforceable,omitempty"`
}

// InvalidObject is an object whose present version is not in force.
type InvalidObject struct {
	// Kind as in ReportedPolicy, or that of a tier, a set or another object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Namespace is empty for an object of the cluster.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Message says what is wrong and what would be right.
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message"`
}

// NodePolicyReportList is a list of reports.
//
// +kubebuilder:object:root=true
type NodePolicyReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []NodePolicyReport `json:"items"`
}
