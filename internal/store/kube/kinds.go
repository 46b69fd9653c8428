package kube

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// kind is one kind of objects that is read.
type kind struct {
	group, version string
	resource       string // as in URLs: "pods"
	name           string // as in manifests: "Pod"
	key            string // as in policy.Key
	namespaced     bool
	only           string // name of the one object that is read; empty: all are
	// optional kinds are read if the server has them, those on demand if some policy
	// refers to their objects.
	optional, onDemand bool
	// create makes an object to read protobuf into, trim takes from it what nobody
	// reads. Without them the kind is read as JSON, as strictly as from a file: a
	// field that is not understood could be the one that matters.
	create func() protoObject
	trim   func(protoObject)
	// keeps is what is decoded of protobuf; nil: all.
	keeps fields
}

// late says that the kind is read when all others have been: its objects are many,
// and are delivered as they come.
func (k *kind) late() bool { return k.name == policy.KindPod }

// podBacklog and backlog are how many changes of a kind may wait to be delivered
// before its stream is read no further. Pods come in numbers, and are large.
const (
	podBacklog = 2048
	backlog    = 1 << 20
)

func (k *kind) backlog() int {
	if k.late() {
		return podBacklog
	}
	return backlog
}

// apiVersion is what manifests write.
func (k *kind) apiVersion() string {
	if k.group == "" {
		return k.version
	}
	return k.group + "/" + k.version
}

// path is that of the API for objects of a namespace, or of all if it is empty.
func (k *kind) path(namespace string) []string {
	var p []string
	if k.group == "" {
		p = append(p, "api", k.version)
	} else {
		p = append(p, "apis", k.group, k.version)
	}
	if k.namespaced && namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	return append(p, k.resource)
}

// plural names the kind in messages: "tiers.projectcalico.org".
func (k *kind) plural() string {
	if k.group == "" {
		return k.resource
	}
	return k.resource + "." + k.group
}

// kindsOf returns the kinds to read, in the order in which they are delivered: what
// is referred to comes first, and pods last.
//
// WorkloadEndpoints are none of them, even if the cluster serves them: who may
// write one in some namespace could claim any address, and with it the labels that
// let it through. In a cluster, pods are what is where.
func kindsOf(o *Options) []*kind {
	policies := []*kind{
		calico("tiers", policy.KindTier, false),
		calico("networksets", policy.KindNetworkSet, true),
		calico("globalnetworksets", policy.KindGlobalNetworkSet, false),
		{
			group: "networking.k8s.io", version: "v1", resource: "networkpolicies",
			name: "NetworkPolicy", key: policy.KindKubernetesNetworkPolicy, namespaced: true,
		},
		calico("networkpolicies", policy.KindNetworkPolicy, true),
		calico("globalnetworkpolicies", policy.KindGlobalNetworkPolicy, false),
		calico("hostendpoints", policy.KindHostEndpoint, false),
		cluster(v1alpha2.GroupVersion, "clusternetworkpolicies", policy.KindClusterNetworkPolicy),
		cluster(v1alpha1.GroupVersion, "adminnetworkpolicies", policy.KindAdminNetworkPolicy),
		cluster(v1alpha1.GroupVersion, "baselineadminnetworkpolicies", policy.KindBaselineAdminNetworkPolicy),
	}
	if !o.Enforced {
		policies = append(policies,
			calico("stagednetworkpolicies", "StagedNetworkPolicy", true),
			calico("stagedglobalnetworkpolicies", "StagedGlobalNetworkPolicy", false),
			calico("stagedkubernetesnetworkpolicies", "StagedKubernetesNetworkPolicy", true))
	}
	service := core("services", policy.KindService, true, func() protoObject { return &corev1.Service{} }, trimService)
	slice := core("endpointslices", "EndpointSlice", true, func() protoObject { return &discoveryv1.EndpointSlice{} }, trimEndpointSlice).keeping(sliceFields)
	slice.group = discoveryv1.GroupName
	service.onDemand, slice.onDemand = !o.Services && o.Service == "", !o.Services
	if !o.Services {
		service.only = o.Service
	}
	if o.PolicyOnly {
		return append([]*kind{service}, policies...) // whether there is one is said of policies
	}
	node := core("nodes", policy.KindNode, false, func() protoObject { return &corev1.Node{} }, trimNode).keeping(nodeFields)
	node.only = o.Node
	kinds := slices.Concat([]*kind{
		core("namespaces", "Namespace", false, func() protoObject { return &corev1.Namespace{} }, trimNamespace).keeping(fieldsOf[corev1.Namespace](metaFields...)),
		core("serviceaccounts", "ServiceAccount", true, func() protoObject { return &corev1.ServiceAccount{} }, trimServiceAccount).keeping(fieldsOf[corev1.ServiceAccount](metaFields...)),
		node, service, slice,
	}, policies)
	return append(kinds, core("pods", policy.KindPod, true, func() protoObject { return &corev1.Pod{} }, trimPod).keeping(podFields))
}

// What is decoded of kinds that are many, or whose heartbeats are.
var (
	metaFields = []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion", "metadata.labels",
	}
	sliceFields = fieldsOf[discoveryv1.EndpointSlice](append(metaFields,
		"addressType", "ports.port", "ports.protocol", "endpoints.addresses")...)
	nodeFields = fieldsOf[corev1.Node](append(metaFields, "spec.podCIDR", "spec.podCIDRs", "status.addresses")...)
	podFields  = fieldsOf[corev1.Pod](append(metaFields,
		"metadata.creationTimestamp", "metadata.deletionTimestamp",
		"metadata.ownerReferences.controller", "metadata.ownerReferences.kind", "metadata.ownerReferences.name",
		"spec.nodeName", "spec.hostNetwork", "spec.serviceAccountName", "spec.serviceAccount",
		"spec.initContainers.ports", "spec.initContainers.restartPolicy", "spec.containers.ports", "spec.containers.restartPolicy",
		"status.phase", "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs", "status.startTime",
	)...)
)

func (k *kind) keeping(f fields) *kind {
	k.keeps = f
	return k
}

func core(resource, name string, namespaced bool, create func() protoObject, trim func(protoObject)) *kind {
	return &kind{version: "v1", resource: resource, name: name, key: name, namespaced: namespaced, create: create, trim: trim}
}

func calico(resource, name string, namespaced bool) *kind {
	return &kind{
		group: v3.GroupName, version: v3.SchemeGroupVersion.Version, resource: resource,
		name: name, key: name, namespaced: namespaced, optional: true,
	}
}

// clusterPolicy is the group of the cluster's policies, in two generations.
const clusterPolicy = v1alpha2.GroupName

func cluster(gv metav1.GroupVersion, resource, name string) *kind {
	return &kind{group: gv.Group, version: gv.Version, resource: resource, name: name, key: name, optional: true}
}

func (k *kind) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.group, Version: k.version, Kind: k.name}
}
