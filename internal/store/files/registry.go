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

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/policy"
)

// kind is one kind of objects that is read.
type kind struct {
	apiVersion string
	typ        reflect.Type
	namespaced bool
	// modelKind is the kind in keys, where it is not the written one.
	modelKind string
	// foreign says that somebody else enforces it: it is read from files, for an
	// analysis, and stored nowhere.
	foreign bool
}

func namespaced[T any](apiVersion string) kind {
	return kind{apiVersion: apiVersion, typ: reflect.TypeFor[T](), namespaced: true}
}

func global[T any](apiVersion string) kind {
	return kind{apiVersion: apiVersion, typ: reflect.TypeFor[T]()}
}

// kinds holds what is read, by kind as written; NetworkPolicy is of two APIs.
var kinds = map[string][]kind{
	"Namespace":      {global[corev1.Namespace]("v1")},
	"Node":           {global[corev1.Node]("v1")},
	"ServiceAccount": {namespaced[corev1.ServiceAccount]("v1")},
	"Pod":            {namespaced[corev1.Pod]("v1")},
	"Service":        {namespaced[corev1.Service]("v1")},
	"EndpointSlice":  {namespaced[discoveryv1.EndpointSlice]("discovery.k8s.io/v1")},

	"Deployment":  {namespaced[appsv1.Deployment]("apps/v1")},
	"ReplicaSet":  {namespaced[appsv1.ReplicaSet]("apps/v1")},
	"StatefulSet": {namespaced[appsv1.StatefulSet]("apps/v1")},
	"DaemonSet":   {namespaced[appsv1.DaemonSet]("apps/v1")},
	"Job":         {namespaced[batchv1.Job]("batch/v1")},
	"CronJob":     {namespaced[batchv1.CronJob]("batch/v1")},

	"NetworkPolicy": {
		kubernetesPolicy(),
		namespaced[v3.NetworkPolicy](v3.GroupVersion),
	},
	"Tier":                          {global[v3.Tier](v3.GroupVersion)},
	"GlobalNetworkPolicy":           {global[v3.GlobalNetworkPolicy](v3.GroupVersion)},
	"NetworkSet":                    {namespaced[v3.NetworkSet](v3.GroupVersion)},
	"GlobalNetworkSet":              {global[v3.GlobalNetworkSet](v3.GroupVersion)},
	"WorkloadEndpoint":              {namespaced[v3.WorkloadEndpoint](v3.GroupVersion)},
	"HostEndpoint":                  {global[v3.HostEndpoint](v3.GroupVersion)},
	"StagedNetworkPolicy":           {namespaced[v3.StagedNetworkPolicy](v3.GroupVersion)},
	"StagedGlobalNetworkPolicy":     {global[v3.StagedGlobalNetworkPolicy](v3.GroupVersion)},
	"StagedKubernetesNetworkPolicy": {namespaced[v3.StagedKubernetesNetworkPolicy](v3.GroupVersion)},

	cilium.KindNamespaced:  {foreign(namespaced[cilium.NetworkPolicy](cilium.APIVersion))},
	cilium.KindClusterwide: {foreign(global[cilium.ClusterwideNetworkPolicy](cilium.APIVersion))},

	policy.KindClusterNetworkPolicy:       {global[v1alpha2.ClusterNetworkPolicy](v1alpha2.GroupVersion.String())},
	policy.KindAdminNetworkPolicy:         {global[v1alpha1.AdminNetworkPolicy](v1alpha1.GroupVersion.String())},
	policy.KindBaselineAdminNetworkPolicy: {global[v1alpha1.BaselineAdminNetworkPolicy](v1alpha1.GroupVersion.String())},
}

func foreign(k kind) kind {
	k.foreign = true
	return k
}

func kubernetesPolicy() kind {
	k := namespaced[networkingv1.NetworkPolicy]("networking.k8s.io/v1")
	k.modelKind = policy.KindKubernetesNetworkPolicy
	return k
}
