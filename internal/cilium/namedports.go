package cilium

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
)

// A named port of egress is no port of the destination in Cilium: it is the one number that
// all pods of the cluster have given the name, whoever is at the other end. A name that has
// several numbers, or none, matches nothing.

// namedPort is a name as pods give it to a port.
type namedPort struct{ name, protocol string }

// portNames are the numbers that names have in the cluster.
type portNames struct {
	numbers map[namedPort]map[int32]bool
	pods    bool // whether there are pods, or what makes them, at all
}

// findPortNames collects the ports of pods, and of workloads none of whose pods are there.
func findPortNames(resources []store.Resource) portNames {
	names := portNames{numbers: map[namedPort]map[int32]bool{}}
	type owner struct{ kind, namespace, name string }
	hasPods := map[owner]bool{}
	controllers := func(meta *metav1.ObjectMeta) {
		for _, o := range meta.OwnerReferences {
			hasPods[owner{o.Kind, meta.Namespace, o.Name}] = true
		}
	}
	for i := range resources {
		if o, ok := resources[i].Object.(*corev1.Pod); ok {
			controllers(&o.ObjectMeta)
			if !hasEnded(o) {
				names.add(&o.Spec)
			}
		}
	}
	of := func(kind string, meta *metav1.ObjectMeta, spec *corev1.PodSpec, runs bool) {
		if hasPods[owner{kind, meta.Namespace, meta.Name}] {
			controllers(meta)
		} else if runs {
			names.add(spec)
		}
	}
	// What others control comes first: their pods are those of what controls them.
	for i := range resources {
		switch o := resources[i].Object.(type) {
		case *appsv1.ReplicaSet:
			of("ReplicaSet", &o.ObjectMeta, &o.Spec.Template.Spec, o.Spec.Replicas == nil || *o.Spec.Replicas != 0)
		case *batchv1.Job:
			of("Job", &o.ObjectMeta, &o.Spec.Template.Spec, o.Status.CompletionTime == nil)
		}
	}
	for i := range resources {
		switch o := resources[i].Object.(type) {
		case *appsv1.Deployment:
			of("Deployment", &o.ObjectMeta, &o.Spec.Template.Spec, true)
		case *appsv1.StatefulSet:
			of("StatefulSet", &o.ObjectMeta, &o.Spec.Template.Spec, true)
		case *appsv1.DaemonSet:
			of("DaemonSet", &o.ObjectMeta, &o.Spec.Template.Spec, true)
		case *batchv1.CronJob:
			of("CronJob", &o.ObjectMeta, &o.Spec.JobTemplate.Spec.Template.Spec, true)
		}
	}
	return names
}

func hasEnded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// add takes in the ports of a pod. One on its node's network is no endpoint of Cilium's.
func (n *portNames) add(spec *corev1.PodSpec) {
	n.pods = true
	if spec.HostNetwork {
		return
	}
	for i := range spec.Containers {
		for _, p := range spec.Containers[i].Ports {
			key := namedPort{p.Name, strings.ToUpper(string(p.Protocol))}
			if key.protocol == "" {
				key.protocol = "TCP"
			}
			if p.Name == "" || p.ContainerPort == 0 {
				continue
			}
			if n.numbers[key] == nil {
				n.numbers[key] = map[int32]bool{}
			}
			n.numbers[key][p.ContainerPort] = true
		}
	}
}

// number returns the number of a name, and how many it has; it is the number only if that
// is 1.
func (n *portNames) number(name, protocol string) (number int32, count int) {
	numbers := n.numbers[namedPort{name, protocol}]
	for number = range numbers {
		break
	}
	return number, len(numbers)
}
