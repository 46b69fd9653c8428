package translate

import (
	"math"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Kinds of workloads that run pods.
const (
	kindDeployment  = "Deployment"
	kindReplicaSet  = "ReplicaSet"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
	kindJob         = "Job"
	kindCronJob     = "CronJob"
)

// endpoint is an endpoint without what it gets from other objects: the labels of
// its namespace and its service account, and the workload it belongs to.
type endpoint struct {
	own          selector.Labels
	account      string // name of the service account; empty for none
	orchestrator string
	node, iface  string
	hostAddrs    []netip.Addr // those of the node, as far as the endpoint tells
	addrs        []netip.Addr
	ports        []policy.NamedPort
	profile      string
	precedence   int32      // see precedence
	controller   policy.Key // what manages it; zero if nothing does
	hash         string     // pod-template-hash, which ends the name of its ReplicaSet
	// template says that it stands for the pods of a workload.
	template bool
	// none says why there is nothing to govern; empty if there is.
	none Reason
}

// withoutPolicy is what is known of an endpoint that policy does not govern.
func (e *endpoint) withoutPolicy(why Reason) *endpoint {
	return &endpoint{node: e.node, hostAddrs: e.hostAddrs, controller: e.controller, hash: e.hash, none: why}
}

func (e *endpoint) addAddr(a netip.Addr) {
	if !slices.Contains(e.addrs, a) {
		e.addrs = append(e.addrs, a)
	}
}

// namespaceProfile is the profile of pods: it allows what no policy decides.
func namespaceProfile(namespace string) string { return "kns." + namespace }

// defaultAccount is the service account of pods that name none.
const defaultAccount = "default"

// translatePod translates a pod.
func translatePod(p *corev1.Pod) (*endpoint, problems) {
	var ps problems
	ps.name(p.Name)
	e := podEndpoint(&ps, p.Namespace, &p.ObjectMeta, &p.Spec, "spec")
	e.controller = controllerOf(&p.ObjectMeta)
	e.node = p.Spec.NodeName
	status := &p.Status
	e.precedence = precedence(p.DeletionTimestamp != nil, status.StartTime, p.CreationTimestamp)
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
		return e.withoutPolicy(Ended), ps
	case p.Spec.HostNetwork:
		return e.withoutPolicy(HostNetwork), ps
	}
	return e, ps
}

// precedence says which of two pods has an address that both claim: one that is
// not about to end; of such two the one that its node has begun to run last,
// since it got the address last. A network gives an address to the next pod when
// the one before has ended, but its object may say so later, or never, if its node
// is gone.
func precedence(ending bool, started *metav1.Time, created metav1.Time) int32 {
	if started == nil || started.IsZero() {
		started = &created
	}
	// Seconds since 2001, as far as 31 bits go.
	const epoch = 978307200
	seconds := int32(0)
	if !started.IsZero() {
		seconds = int32(min(max(started.Unix()-epoch, 0), math.MaxInt32))
	}
	if ending {
		return seconds + math.MinInt32
	}
	return seconds
}

func (e *endpoint) addHostAddr(a netip.Addr) {
	if !slices.Contains(e.hostAddrs, a) {
		e.hostAddrs = append(e.hostAddrs, a)
	}
}

func (ps *problems) podAddr(field, text string, add func(netip.Addr)) {
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
func podEndpoint(ps *problems, namespace string, meta *metav1.ObjectMeta, spec *corev1.PodSpec, field string) *endpoint {
	ps.labels(metadataOf(field)+".labels", meta.Labels)
	e := &endpoint{
		own:          ownLabels(meta.Labels),
		account:      spec.ServiceAccountName,
		orchestrator: orchestratorKubernetes,
		profile:      namespaceProfile(namespace),
		hash:         meta.Labels[appsv1.DefaultDeploymentUniqueLabelKey],
	}
	if e.account == "" {
		e.account = spec.DeprecatedServiceAccount
	}
	if e.account == "" {
		e.account = defaultAccount
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

func (e *endpoint) addPorts(ps *problems, field string, ports []corev1.ContainerPort) {
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
		if !slices.Contains(e.ports, named) {
			e.ports = append(e.ports, named)
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
func translateTemplate(meta *metav1.ObjectMeta, t *corev1.PodTemplateSpec, field string) (*endpoint, problems) {
	var ps problems
	ps.name(meta.Name)
	e := podEndpoint(&ps, meta.Namespace, &t.ObjectMeta, &t.Spec, field+".spec")
	e.controller = controllerOf(meta)
	e.template = true
	if t.Spec.HostNetwork {
		return e.withoutPolicy(HostNetwork), ps
	}
	return e, ps
}

// translateReplicaSet is translateTemplate for a ReplicaSet: one that a
// Deployment has scaled down runs nothing.
func translateReplicaSet(rs *appsv1.ReplicaSet) (*endpoint, problems) {
	e, ps := translateTemplate(&rs.ObjectMeta, &rs.Spec.Template, "spec.template")
	if e.controller != (policy.Key{}) && rs.Spec.Replicas != nil && *rs.Spec.Replicas == 0 {
		return e.withoutPolicy(ScaledDown), ps
	}
	return e, ps
}

// translateJob is translateTemplate for a Job: one that has ended runs nothing.
func translateJob(job *batchv1.Job) (*endpoint, problems) {
	e, ps := translateTemplate(&job.ObjectMeta, &job.Spec.Template, "spec.template")
	for _, c := range job.Status.Conditions {
		ended := c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
		if ended && c.Status == corev1.ConditionTrue {
			return e.withoutPolicy(Ended), ps
		}
	}
	return e, ps
}

// translateNode translates a node. Its host name is no address.
func translateNode(n *corev1.Node) (*policy.Node, problems) {
	var ps problems
	ps.name(n.Name)
	out := &policy.Node{Name: n.Name, Labels: selector.NewLabels(n.Labels)}
	for i, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
			continue
		}
		addr, err := parseAddr(a.Address)
		if err != nil {
			ps.add(at("status.addresses", i)+".address", "%v", err)
			continue
		}
		if !slices.Contains(out.Addrs, addr) {
			out.Addrs = append(out.Addrs, addr)
		}
	}
	return out, ps
}
