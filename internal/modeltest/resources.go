package modeltest

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// ResourceSize says how large a cluster of resources is.
type ResourceSize struct {
	Namespaces  int
	Pods        int
	Policies    int
	PodsPerNode int // 0: 110
	DualStack   bool
}

// Resources returns a production-shaped cluster as a store would deliver it:
// namespaces, service accounts, tiers and nodes first, then policies, then pods.
// Every object is made when it is asked for, with strings of its own, as a
// decoder would make it; the same size gives the same objects. Pods of
// Deployments, StatefulSets, DaemonSets and Jobs are named and labelled as their
// controllers do it.
func Resources(size ResourceSize) iter.Seq[store.Resource] {
	if size.PodsPerNode == 0 {
		size.PodsPerNode = 110
	}
	r := &resources{size: size, nodes: max(1, (size.Pods+size.PodsPerNode-1)/size.PodsPerNode)}
	return func(yield func(store.Resource) bool) {
		for _, part := range []iter.Seq[store.Resource]{r.namespaces, r.allNodes, r.tiers, r.policies, r.allPods} {
			for res := range part {
				if !yield(res) {
					return
				}
			}
		}
	}
}

// Pages returns resources in batches of n, as a store that lists in pages would.
func Pages(all iter.Seq[store.Resource], n int) iter.Seq[store.Batch] {
	return func(yield func(store.Batch) bool) {
		b := store.Batch{}
		for r := range all {
			if b.Updated = append(b.Updated, r); len(b.Updated) == n {
				if !yield(b) {
					return
				}
				b = store.Batch{}
			}
		}
		if len(b.Updated) > 0 {
			yield(b)
		}
	}
}

type resources struct {
	size  ResourceSize
	nodes int
}

func resource(kind, namespace, name string, object any) store.Resource {
	return store.Resource{Key: policy.Key{Kind: kind, Namespace: namespace, Name: name}, Object: object}
}

func (r *resources) namespaceName(i int) string {
	return fmt.Sprintf("%s-%s-%03d", teams[i%len(teams)], []string{"prod", "stage", "dev"}[i%3], i)
}

func (r *resources) nodeName(i int) string {
	if i == 0 {
		return LocalNode
	}
	return fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", i>>8, i&255, i*7&255)
}

func (r *resources) namespaces(yield func(store.Resource) bool) {
	for i := range r.size.Namespaces {
		name := r.namespaceName(i)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			strings.Clone("kubernetes.io/metadata.name"):        r.namespaceName(i),
			strings.Clone("team"):                               strings.Clone(teams[i%len(teams)]),
			strings.Clone("env"):                                []string{"prod", "stage", "dev"}[i%3],
			strings.Clone("pod-security.kubernetes.io/enforce"): strings.Clone("baseline"),
		}}}
		if !yield(resource("Namespace", "", name, ns)) {
			return
		}
		for _, account := range []string{"default", "app", "jobs"} {
			sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: strings.Clone(account), Namespace: r.namespaceName(i)}}
			if account == "app" {
				sa.Labels = map[string]string{strings.Clone("role"): strings.Clone("app")}
			}
			if !yield(resource("ServiceAccount", name, account, sa)) {
				return
			}
		}
	}
}

func (r *resources) allNodes(yield func(store.Resource) bool) {
	for i := range r.nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: r.nodeName(i)}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("192.168.%d.%d", i>>8, i&255)},
		}}}
		if !yield(resource("Node", "", r.nodeName(i), n)) {
			return
		}
	}
}

// podKind says what controls the pods of a workload.
type podKind uint8

const (
	ofDeployment podKind = iota
	ofStatefulSet
	ofDaemonSet
	ofJob
	ofNothing
)

// replicas is how many pods a workload has.
const replicas = 10

// workload returns the kind and the name of the n-th workload.
func (r *resources) workload(n int) (kind podKind, name string) {
	kind = [...]podKind{
		ofDeployment, ofDeployment, ofStatefulSet, ofDeployment, ofDeployment, ofDaemonSet, ofDeployment, ofDeployment, ofJob, ofDeployment,
		ofDeployment, ofDeployment, ofDeployment, ofStatefulSet, ofDeployment, ofDeployment, ofDeployment, ofDeployment, ofDeployment, ofNothing,
	}[n%20]
	return kind, fmt.Sprintf("%s-%s-%d", []string{"checkout", "catalog", "login", "orders", "stock"}[n%5], parts[n%len(parts)].name, n/r.size.Namespaces)
}

// hashOf makes what a controller would put into names: n letters and digits.
func hashOf(seed, n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	x := uint64(seed+1) * 0x9e3779b97f4a7c15
	for i := range b {
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		b[i] = alphabet[x>>33%uint64(len(alphabet))]
	}
	return string(b)
}

func (r *resources) allPods(yield func(store.Resource) bool) {
	for i := range r.size.Pods {
		if p := r.Pod(i); !yield(resource(policy.KindPod, p.Namespace, p.Name, p)) {
			return
		}
	}
}

// PodResource returns the i-th pod of Resources.
func PodResource(size ResourceSize, i int) store.Resource {
	if size.PodsPerNode == 0 {
		size.PodsPerNode = 110
	}
	r := &resources{size: size, nodes: max(1, (size.Pods+size.PodsPerNode-1)/size.PodsPerNode)}
	p := r.Pod(i)
	return resource(policy.KindPod, p.Namespace, p.Name, p)
}

// Pod makes the i-th pod.
func (r *resources) Pod(i int) *corev1.Pod {
	n, at := i/replicas, i%replicas
	kind, workload := r.workload(n)
	yes := true
	labels := map[string]string{
		strings.Clone("app.kubernetes.io/name"):     strings.Clone(parts[n%len(parts)].name),
		strings.Clone("app.kubernetes.io/instance"): workload,
		strings.Clone("app.kubernetes.io/part-of"):  []string{"checkout", "catalog", "login", "orders", "stock"}[n%5],
		strings.Clone("tier"):                       []string{"front", "back"}[n%2],
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: r.namespaceName(n % r.size.Namespaces), Labels: labels,
		CreationTimestamp: metav1.Unix(1_790_000_000+int64(i), 0),
	}}
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Controller: &yes}
	account := "app"
	switch kind {
	case ofDeployment:
		hash := hashOf(n, 9)
		owner.Kind, owner.Name = "ReplicaSet", workload+"-"+hash
		labels[strings.Clone("pod-template-hash")] = hash
		p.Name = owner.Name + "-" + hashOf(i<<20, 5)
	case ofStatefulSet:
		owner.Kind, owner.Name = "StatefulSet", workload
		p.Name = fmt.Sprintf("%s-%d", workload, at)
		labels[strings.Clone("statefulset.kubernetes.io/pod-name")] = strings.Clone(p.Name)
		labels[strings.Clone("apps.kubernetes.io/pod-index")] = fmt.Sprint(at)
		labels[strings.Clone("controller-revision-hash")] = workload + "-" + hashOf(n, 9)
	case ofDaemonSet:
		owner.Kind, owner.Name = "DaemonSet", workload
		labels[strings.Clone("controller-revision-hash")] = hashOf(n, 9)
		labels[strings.Clone("pod-template-generation")] = "3"
		p.Name = workload + "-" + hashOf(i<<20, 5)
	case ofJob:
		owner.APIVersion, owner.Kind, owner.Name = "batch/v1", "Job", workload
		uid := hashOf(n, 8) + "-4c1d-4f8e-9a55-" + hashOf(n, 12)
		labels[strings.Clone("batch.kubernetes.io/job-name")] = workload
		labels[strings.Clone("batch.kubernetes.io/controller-uid")] = uid
		p.Name = workload + "-" + hashOf(i<<20, 5)
		account = "jobs"
	case ofNothing:
		p.Name = workload + "-" + hashOf(i<<20, 4)
		account = "default"
	}
	if kind != ofNothing {
		p.OwnerReferences = []metav1.OwnerReference{owner}
	}
	p.Spec = corev1.PodSpec{
		NodeName: r.nodeName(i % r.nodes), ServiceAccountName: strings.Clone(account),
		Containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{
			{Name: strings.Clone("http"), ContainerPort: int32(parts[n%len(parts)].port), Protocol: corev1.ProtocolTCP},
			{Name: strings.Clone("metrics"), ContainerPort: 9102, Protocol: corev1.ProtocolTCP},
		}}},
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, HostIP: fmt.Sprintf("192.168.%d.%d", i%r.nodes>>8, i%r.nodes&255)}
	// A node's pods have addresses of its own /24.
	onNode := i/r.nodes + 2
	v4 := netip.AddrFrom4([4]byte{10, byte(64 + i%r.nodes>>8), byte(i % r.nodes), byte(onNode)})
	p.Status.PodIP = v4.String()
	p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
	if r.size.DualStack {
		v6 := netip.MustParseAddr("fd00:10::").As16()
		v6[6], v6[7], v6[14], v6[15] = byte(i%r.nodes>>8), byte(i%r.nodes), byte(onNode>>8), byte(onNode)
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: netip.AddrFrom16(v6).String()})
	}
	return p
}
