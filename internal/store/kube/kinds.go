package kube

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// kind is one kind of objects that is read.
type kind struct {
	policy.KindInfo
	only string // name of the one object that is read; empty: all are
	// optional kinds are read if the server has them, lazy ones if some policy refers
	// to their objects.
	optional, lazy bool
	// Without a builtin the kind is read as JSON, as strictly as from a file: a
	// field that is not understood could be the one that matters.
	builtin
}

// builtin is how a kind of Kubernetes' own is read, as protobuf.
type builtin struct {
	create func() protoObject // makes an object to read into
	trim   func(protoObject)  // takes from it what nobody reads
	keeps  fields             // what is decoded; nil: all
}

// builtins are the kinds that are read as protobuf.
var builtins = map[string]builtin{
	policy.KindNamespace:      {func() protoObject { return &corev1.Namespace{} }, trimNamespace, fieldsOf[corev1.Namespace](metaFields...)},
	policy.KindServiceAccount: {func() protoObject { return &corev1.ServiceAccount{} }, trimServiceAccount, fieldsOf[corev1.ServiceAccount](metaFields...)},
	policy.KindNode:           {func() protoObject { return &corev1.Node{} }, trimNode, nodeFields},
	policy.KindService:        {func() protoObject { return &corev1.Service{} }, trimService, nil},
	policy.KindEndpointSlice:  {func() protoObject { return &discoveryv1.EndpointSlice{} }, trimEndpointSlice, sliceFields},
	policy.KindPod:            {func() protoObject { return &corev1.Pod{} }, trimPod, podFields},
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
		"metadata.annotations", "metadata.creationTimestamp", "metadata.deletionTimestamp",
		"metadata.ownerReferences.controller", "metadata.ownerReferences.kind", "metadata.ownerReferences.name",
		"spec.nodeName", "spec.hostNetwork", "spec.serviceAccountName", "spec.serviceAccount",
		"spec.initContainers.ports", "spec.initContainers.restartPolicy", "spec.containers.ports", "spec.containers.restartPolicy",
		"status.phase", "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs", "status.startTime",
	)...)
)

// clusterPolicy is the group of the cluster's policies, in two generations.
const clusterPolicy = v1alpha2.GroupName

// Reads reports whether some command reads objects of a kind from a cluster.
//
// What makes pods is not read: pods say whose they are. Neither are WorkloadEndpoints,
// even if the cluster serves them: who may write one in some namespace could claim any
// address, and with it the labels that let it through. In a cluster, pods are what
// is where.
func Reads(k policy.KindInfo) bool {
	return k.IsStored() && k.Role != policy.RoleWorkload && k.Key != policy.KindWorkloadEndpoint
}

// kindsOf returns the kinds to read, in the order in which they are delivered: what
// is referred to comes first, and pods last.
func kindsOf(o *Options) []*kind {
	var kinds []*kind
	for _, info := range policy.Kinds() {
		k := &kind{KindInfo: info, optional: info.Group == v3.GroupName || info.Group == clusterPolicy, builtin: builtins[info.Key]}
		switch {
		case !Reads(info), o.Enforced && k.Stages != "":
			continue
		case k.Key == policy.KindService:
			k.lazy = !o.Services && o.Service == ""
			if !o.Services {
				k.only = o.Service
			}
		case o.PolicyOnly && !k.isPolicy():
			continue
		case k.Key == policy.KindEndpointSlice:
			k.lazy = !o.Services
		case k.Key == policy.KindNode:
			k.only = o.Node
		}
		kinds = append(kinds, k)
	}
	return kinds
}

// isPolicy reports whether objects of the kind are what people write to decide. With
// PolicyOnly services are read beside them: whether there is one is said of policies.
func (k *kind) isPolicy() bool { return k.Status != policy.NoStatus }

// late reports whether the kind is read when all others have been: its objects are
// many, and are delivered as they come.
func (k *kind) late() bool { return k.Key == policy.KindPod }

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

// path is that of the API for objects of a namespace, or of all if it is empty.
func (k *kind) path(namespace string) []string {
	var p []string
	if k.Group == "" {
		p = append(p, "api", k.Version)
	} else {
		p = append(p, "apis", k.Group, k.Version)
	}
	if k.Namespaced && namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	return append(p, k.Resource)
}

func (k *kind) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Name}
}
