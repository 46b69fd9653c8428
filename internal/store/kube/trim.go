package kube

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/tierwall/tierwall/internal/store"
)

// protoObject is an object of Kubernetes' own kinds.
type protoObject interface {
	runtime.Object
	metav1.Object
	Unmarshal(data []byte) error
	Size() int
	MarshalToSizedBuffer(data []byte) (int, error)
}

// The functions here take from an object what package translate does not read.
// What is left decides whether a new version differs: what changes every minute,
// such as the heartbeats of pods and nodes, must not be in it.

// trimMeta leaves who the object is, and its labels.
func trimMeta(m *metav1.ObjectMeta) {
	*m = metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, UID: m.UID, Labels: m.Labels}
}

func trimNamespace(o protoObject) {
	n := o.(*corev1.Namespace)
	trimMeta(&n.ObjectMeta)
	n.Spec, n.Status = corev1.NamespaceSpec{}, corev1.NamespaceStatus{}
}

func trimServiceAccount(o protoObject) {
	a := o.(*corev1.ServiceAccount)
	trimMeta(&a.ObjectMeta)
	*a = corev1.ServiceAccount{ObjectMeta: a.ObjectMeta}
}

// trimNode leaves the addresses, its own and those that its pods are given.
func trimNode(o protoObject) {
	n := o.(*corev1.Node)
	trimMeta(&n.ObjectMeta)
	n.Spec = corev1.NodeSpec{PodCIDR: n.Spec.PodCIDR, PodCIDRs: n.Spec.PodCIDRs}
	n.Status = corev1.NodeStatus{Addresses: n.Status.Addresses}
}

// trimService leaves which pods it selects, and their ports, and its own addresses, those
// of its load balancer among them.
func trimService(o protoObject) {
	s := o.(*corev1.Service)
	trimMeta(&s.ObjectMeta)
	s.Spec = corev1.ServiceSpec{
		Selector: s.Spec.Selector, Ports: s.Spec.Ports, Type: s.Spec.Type,
		ClusterIP: s.Spec.ClusterIP, ClusterIPs: s.Spec.ClusterIPs,
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		*p = corev1.ServicePort{Protocol: p.Protocol, Port: p.Port, TargetPort: p.TargetPort}
	}
	ingress := s.Status.LoadBalancer.Ingress
	s.Status = corev1.ServiceStatus{}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	for i := range ingress {
		if ip := ingress[i].IP; ip != "" {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
	}
}

// trimEndpointSlice leaves the addresses and ports. Whether an endpoint is ready,
// which changes most often, decides nothing.
func trimEndpointSlice(o protoObject) {
	s := o.(*discoveryv1.EndpointSlice)
	trimMeta(&s.ObjectMeta)
	for i := range s.Endpoints {
		s.Endpoints[i] = discoveryv1.Endpoint{Addresses: s.Endpoints[i].Addresses}
	}
	for i := range s.Ports {
		s.Ports[i] = discoveryv1.EndpointPort{Port: s.Ports[i].Port, Protocol: s.Ports[i].Protocol}
	}
}

// trimPod leaves what tells which endpoint the pod is, since when and how long,
// who runs it, and which sources it may have beside its own.
func trimPod(o protoObject) {
	p := o.(*corev1.Pod)
	meta := p.ObjectMeta
	trimMeta(&p.ObjectMeta)
	p.CreationTimestamp, p.DeletionTimestamp = meta.CreationTimestamp, meta.DeletionTimestamp
	if v, ok := meta.Annotations[store.AllowedSourcesAnnotation]; ok {
		p.Annotations = map[string]string{store.AllowedSourcesAnnotation: v}
	}
	for i := range meta.OwnerReferences {
		if o := &meta.OwnerReferences[i]; o.Controller != nil && *o.Controller {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: o.Kind, Name: o.Name, Controller: o.Controller}}
			break
		}
	}
	spec := &p.Spec
	*spec = corev1.PodSpec{
		NodeName: spec.NodeName, HostNetwork: spec.HostNetwork,
		ServiceAccountName: spec.ServiceAccountName, DeprecatedServiceAccount: spec.DeprecatedServiceAccount,
		InitContainers: trimContainers(spec.InitContainers), Containers: trimContainers(spec.Containers),
	}
	status := &p.Status
	phase := status.Phase
	if phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		phase = "" // pending, running and unknown are all the same to policy
	}
	*status = corev1.PodStatus{
		Phase: phase, StartTime: status.StartTime,
		PodIP: status.PodIP, PodIPs: status.PodIPs, HostIP: status.HostIP, HostIPs: status.HostIPs,
	}
}

// trimContainers leaves the ports that have names; messages count on the places
// of containers and ports, which stay. Without such ports there is nothing.
func trimContainers(containers []corev1.Container) []corev1.Container {
	named := false
	for i := range containers {
		c := &containers[i]
		*c = corev1.Container{Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		for j := range c.Ports {
			port := &c.Ports[j]
			*port = corev1.ContainerPort{Name: port.Name, ContainerPort: port.ContainerPort, Protocol: port.Protocol}
			named = named || port.Name != ""
		}
	}
	if !named {
		return nil
	}
	return containers
}
