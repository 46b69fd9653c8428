package files

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	reports "github.com/tierwall/tierwall/api/v1alpha1"
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/policy"
)

// types are what objects are read into, by kind as in policy.Key.
var types = map[string]reflect.Type{
	policy.KindNamespace:      reflect.TypeFor[corev1.Namespace](),
	policy.KindServiceAccount: reflect.TypeFor[corev1.ServiceAccount](),
	policy.KindNode:           reflect.TypeFor[corev1.Node](),
	policy.KindService:        reflect.TypeFor[corev1.Service](),
	policy.KindEndpointSlice:  reflect.TypeFor[discoveryv1.EndpointSlice](),
	policy.KindPod:            reflect.TypeFor[corev1.Pod](),

	policy.KindDeployment:  reflect.TypeFor[appsv1.Deployment](),
	policy.KindReplicaSet:  reflect.TypeFor[appsv1.ReplicaSet](),
	policy.KindStatefulSet: reflect.TypeFor[appsv1.StatefulSet](),
	policy.KindDaemonSet:   reflect.TypeFor[appsv1.DaemonSet](),
	policy.KindJob:         reflect.TypeFor[batchv1.Job](),
	policy.KindCronJob:     reflect.TypeFor[batchv1.CronJob](),

	policy.KindTier:                          reflect.TypeFor[v3.Tier](),
	policy.KindNetworkPolicy:                 reflect.TypeFor[v3.NetworkPolicy](),
	policy.KindGlobalNetworkPolicy:           reflect.TypeFor[v3.GlobalNetworkPolicy](),
	policy.KindNetworkSet:                    reflect.TypeFor[v3.NetworkSet](),
	policy.KindGlobalNetworkSet:              reflect.TypeFor[v3.GlobalNetworkSet](),
	policy.KindWorkloadEndpoint:              reflect.TypeFor[v3.WorkloadEndpoint](),
	policy.KindProfile:                       reflect.TypeFor[v3.Profile](),
	policy.KindHostEndpoint:                  reflect.TypeFor[v3.HostEndpoint](),
	policy.KindStagedNetworkPolicy:           reflect.TypeFor[v3.StagedNetworkPolicy](),
	policy.KindStagedGlobalNetworkPolicy:     reflect.TypeFor[v3.StagedGlobalNetworkPolicy](),
	policy.KindStagedKubernetesNetworkPolicy: reflect.TypeFor[v3.StagedKubernetesNetworkPolicy](),

	policy.KindKubernetesNetworkPolicy:    reflect.TypeFor[networkingv1.NetworkPolicy](),
	policy.KindClusterNetworkPolicy:       reflect.TypeFor[v1alpha2.ClusterNetworkPolicy](),
	policy.KindAdminNetworkPolicy:         reflect.TypeFor[v1alpha1.AdminNetworkPolicy](),
	policy.KindBaselineAdminNetworkPolicy: reflect.TypeFor[v1alpha1.BaselineAdminNetworkPolicy](),

	policy.KindCiliumNetworkPolicy:            reflect.TypeFor[cilium.NetworkPolicy](),
	policy.KindCiliumClusterwideNetworkPolicy: reflect.TypeFor[cilium.ClusterwideNetworkPolicy](),

	policy.KindNodePolicyReport: reflect.TypeFor[reports.NodePolicyReport](),
}

// writtenByServers reports whether a field of an object is what servers write and may extend,
// so that one in it that is not known is no mistake.
func writtenByServers(t reflect.Type, field string) bool {
	return field == "status" || field == "report" && t == reflect.TypeFor[reports.NodePolicyReport]()
}

// kind is one kind of objects that is read.
type kind struct {
	policy.KindInfo
	typ reflect.Type
	// stored says that an object is written in the form in which Calico stores it.
	stored bool
}

// strict reports whether an unknown field is an error: without it the object would decide
// something else. Of all other kinds newer clusters have fields that are of no concern here.
func (k *kind) strict() bool {
	switch k.Role {
	case policy.RoleTier, policy.RolePolicy, policy.RoleSet, policy.RoleProfile, policy.RoleOther:
		return true
	}
	return k.Key == policy.KindHostEndpoint
}

// kinds holds what is read, by kind as written; NetworkPolicy is of two APIs.
var kinds = func() map[string][]kind {
	out := map[string][]kind{}
	for _, info := range policy.Kinds() {
		if typ := types[info.Key]; typ != nil {
			out[info.Name] = append(out[info.Name], kind{KindInfo: info, typ: typ})
		}
	}
	return out
}()

// NewObject returns an empty object of a kind, as in policy.Key; nil for a kind that
// is not read.
func NewObject(kind string) any {
	typ := types[kind]
	if typ == nil {
		return nil
	}
	return reflect.New(typ).Interface()
}
