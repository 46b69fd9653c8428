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
	KindNetworkSet              = "NetworkSet"
	KindGlobalNetworkSet        = "GlobalNetworkSet"
	KindPod                     = "Pod"
	KindWorkloadEndpoint        = "WorkloadEndpoint"
	KindNode                    = "Node"
	KindProfile                 = "Profile"
)

// Key names one object. Namespace is empty for what has none.
type Key struct {
	Kind      string
	Namespace string
	Name      string
}

// String gives "namespace/Kind/name", or "Kind/name" without a namespace.
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
