package source

import (
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
)

// Kinds of workloads that run pods.
const (
	KindDeployment  = "Deployment"
	KindReplicaSet  = "ReplicaSet"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
	KindJob         = "Job"
	KindCronJob     = "CronJob"
)

// defaultAccount is the service account of pods that name none.
const defaultAccount = "default"

// translatePod translates a pod.
func translatePod(p *corev1.Pod) (*Endpoint, Problems) {
	var ps Problems
	ps.name(p.Name)
	e := podEndpoint(&ps, p.Namespace, &p.ObjectMeta, &p.Spec, "spec")
	e.Controller = controllerOf(&p.ObjectMeta)
	e.Node = p.Spec.NodeName
	status := &p.Status
	e.Precedence = precedence(p.DeletionTimestamp != nil, status.StartTime, p.CreationTimestamp)
	for i, ip := range status.PodIPs {
		ps.podAddr(at("status.podIPs", i)+".ip", ip.IP, e.addAddr)
	}
	ps.podAddr("status.podIP", status.PodIP, e.addAddr)
	ps.podAddr("status.hostIP", status.HostIP, e.addHostAddr)
	for i, ip := range status.HostIPs {
		ps.podAddr(at("status.hostIPs", i)+".ip", ip.IP, e.addHostAddr)
	}
	switch {
	case status.Phase == corev1.PodSucceeded, status.Phase == corev1.PodFailed:
		return e.unmanaged(Ended), ps
	case p.Spec.HostNetwork:
		if len(e.HostAddrs) == 0 {
			e.HostAddrs = e.Addrs // they are the node's
		}
		return e.unmanaged(HostNetwork), ps
	}
	return e, ps
}

func (ps *Problems) podAddr(field, text string, add func(netip.Addr)) {
	if text == "" {
		return
	}
	a, err := parseAddr(text)
	if err != nil {
		ps.add(field, "%v", err)
		return
	}
	add(a)
}

// podEndpoint translates what pods and their templates have in common.
func podEndpoint(ps *Problems, namespace string, meta *metav1.ObjectMeta, spec *corev1.PodSpec, field string) *Endpoint {
	ps.labels(metadataOf(field)+".labels", meta.Labels)
	e := &Endpoint{
		Labels:         ownLabels(meta.Labels),
		ServiceAccount: spec.ServiceAccountName,
		Orchestrator:   orchestratorKubernetes,
		Profiles:       []string{policy.NamespaceProfile(namespace)},
		TemplateHash:   meta.Labels[appsv1.DefaultDeploymentUniqueLabelKey],
	}
	if e.ServiceAccount == "" {
		e.ServiceAccount = spec.DeprecatedServiceAccount
	}
	if e.ServiceAccount == "" {
		e.ServiceAccount = defaultAccount
	}
	// Init containers that go on running (sidecars) have ports as well; the
	// others may name some, but serve none by the time that matters.
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			e.addPorts(ps, at(field+".initContainers", i), c.Ports)
		}
	}
	for i := range spec.Containers {
		e.addPorts(ps, at(field+".containers", i), spec.Containers[i].Ports)
	}
	return e
}

// metadataOf returns the metadata beside a pod's spec.
func metadataOf(spec string) string { return spec[:len(spec)-len("spec")] + "metadata" }

func (e *Endpoint) addPorts(ps *Problems, field string, ports []corev1.ContainerPort) {
	for i, p := range ports {
		if p.Name == "" {
			continue
		}
		named := policy.NamedPort{Name: p.Name, Protocol: policy.TCP}
		field := at(field+".ports", i)
		if p.Protocol != "" {
			named.Protocol = ps.portedProtocol(field+".protocol", string(p.Protocol))
		}
		named.Port = ps.portNumber(field+".containerPort", int64(p.ContainerPort))
		if !slices.Contains(e.Ports, named) {
			e.Ports = append(e.Ports, named)
		}
	}
}

// controllerOf returns what manages an object. A node manages its static pods;
// they are their own workload, as is what a reference without a kind or a name
// says nothing about.
func controllerOf(meta *metav1.ObjectMeta) policy.Key {
	for i := range meta.OwnerReferences {
		o := &meta.OwnerReferences[i]
		if o.Controller != nil && *o.Controller && o.Kind != policy.KindNode && o.Kind != "" && o.Name != "" {
			return policy.Key{Kind: o.Kind, Namespace: meta.Namespace, Name: o.Name}
		}
	}
	return policy.Key{}
}

// translateTemplate translates a workload into the one endpoint that stands for
// its pods.
func translateTemplate(meta *metav1.ObjectMeta, t *corev1.PodTemplateSpec, field string) (*Endpoint, Problems) {
	var ps Problems
	ps.name(meta.Name)
	e := podEndpoint(&ps, meta.Namespace, &t.ObjectMeta, &t.Spec, field+".spec")
	e.Controller = controllerOf(meta)
	e.IsTemplate = true
	if t.Spec.HostNetwork {
		return e.unmanaged(HostNetwork), ps
	}
	return e, ps
}

// translateReplicaSet is translateTemplate for a ReplicaSet: one that a
// Deployment has scaled down runs nothing.
func translateReplicaSet(rs *appsv1.ReplicaSet) (*Endpoint, Problems) {
	e, ps := translateTemplate(&rs.ObjectMeta, &rs.Spec.Template, "spec.template")
	if e.Controller != (policy.Key{}) && rs.Spec.Replicas != nil && *rs.Spec.Replicas == 0 {
		return e.unmanaged(ScaledDown), ps
	}
	return e, ps
}

// translateJob is translateTemplate for a Job: one that has ended runs nothing.
func translateJob(job *batchv1.Job) (*Endpoint, Problems) {
	e, ps := translateTemplate(&job.ObjectMeta, &job.Spec.Template, "spec.template")
	for _, c := range job.Status.Conditions {
		ended := c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
		if ended && c.Status == corev1.ConditionTrue {
			return e.unmanaged(Ended), ps
		}
	}
	return e, ps
}
