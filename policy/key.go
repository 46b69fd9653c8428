package policy

import (
	"cmp"
	"strings"
)

// Kinds of objects in the model. Workloads keep the kind they were written as
// (Pod, Deployment, WorkloadEndpoint, ...).
const (
	KindTier                    = "Tier"
	KindNetworkPolicy           = "NetworkPolicy"           // projectcalico.org/v3
	KindGlobalNetworkPolicy     = "GlobalNetworkPolicy"     // projectcalico.org/v3
	KindKubernetesNetworkPolicy = "KubernetesNetworkPolicy" // networking.k8s.io/v1

	// Those of policy.networking.k8s.io: v1alpha2, and the two of v1alpha1.
	KindClusterNetworkPolicy       = "ClusterNetworkPolicy"
	KindAdminNetworkPolicy         = "AdminNetworkPolicy"
	KindBaselineAdminNetworkPolicy = "BaselineAdminNetworkPolicy"

	KindNetworkSet       = "NetworkSet"
	KindGlobalNetworkSet = "GlobalNetworkSet"
	KindPod              = "Pod"
	KindWorkloadEndpoint = "WorkloadEndpoint"
	KindHostEndpoint     = "HostEndpoint"
	KindNode             = "Node"
	KindProfile          = "Profile"
	KindService          = "Service"        // the endpoints of a service
	KindDomains          = "Domains"        // the domains of a rule
	KindLearned          = "Learned"        // addresses learned for the domains of a set
	KindNodes            = "Nodes"          // the nodes that a rule selects
	KindFailsafe         = "Failsafe"       // decides at host endpoints before any policy
	KindEndpointToHost   = "EndpointToHost" // decides what workloads may send to their own host
)

// Key names one object. Namespace is empty for what has none.
type Key struct {
	Kind      string
	Namespace string
	Name      string
}

// String returns "namespace/Kind/name", or "Kind/name" without a namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + "/" + k.Name
	}
	return k.Namespace + "/" + k.Kind + "/" + k.Name
}

// Compare orders keys by namespace, kind and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		strings.Compare(k.Namespace, o.Namespace),
		strings.Compare(k.Kind, o.Kind),
		strings.Compare(k.Name, o.Name),
	)
}
