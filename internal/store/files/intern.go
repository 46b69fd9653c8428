package files

import (
	"encoding/binary"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tierwall/tierwall/internal/store"
)

// interner keeps once what pods of a workload share: all of a dump's 100,000 pods are a few
// hundred forms.
type interner struct {
	shapes     map[string]*field
	labels     map[string]map[string]string
	containers map[string][]corev1.Container
	owners     map[string][]metav1.OwnerReference
	words      map[string]string
	keys       map[string]bool // keys of annotations, and whether they are valid
	buffer     []byte
}

func newInterner() *interner {
	return &interner{shapes: map[string]*field{}, labels: map[string]map[string]string{}, containers: map[string][]corev1.Container{},
		owners: map[string][]metav1.OwnerReference{}, words: map[string]string{}, keys: map[string]bool{}}
}

// shape makes the lines of a tree relative to its first, and returns one that is alike and
// shared.
func (in *interner) shape(root *field) *field {
	in.buffer = root.shift(in.buffer[:0], root.line)
	if known := in.shapes[string(in.buffer)]; known != nil {
		return known
	}
	in.shapes[string(in.buffer)] = root
	return root
}

// shift subtracts from the lines of a field and of what it holds, and appends what tells its
// tree apart.
func (f *field) shift(key []byte, by int32) []byte {
	f.line -= by
	key = append(key, f.name...)
	key = append(key, 0)
	key = binary.AppendVarint(key, int64(f.line))
	key = binary.AppendUvarint(key, uint64(len(f.inside)))
	for i := range f.inside {
		key = f.inside[i].shift(key, by)
	}
	return key
}

func (in *interner) word(s *string) {
	if known, ok := in.words[*s]; ok {
		*s = known
		return
	}
	in.words[*s] = *s
}

// text begins a key of maps.
func (in *interner) text(parts ...string) {
	for _, p := range parts {
		in.buffer = binary.AppendUvarint(in.buffer, uint64(len(p)))
		in.buffer = append(in.buffer, p...)
	}
}

func (in *interner) labelsOf(m map[string]string) map[string]string {
	in.buffer = in.buffer[:0]
	for _, k := range slices.Sorted(maps.Keys(m)) {
		in.text(k, m[k])
	}
	return shared(in.labels, in.buffer, m)
}

func shared[T any](known map[string]T, key []byte, v T) T {
	if first, ok := known[string(key)]; ok {
		return first
	}
	known[string(key)] = v
	return v
}

// pod leaves of a pod what decides something here, and shares what other pods have, too.
func (in *interner) pod(p *corev1.Pod) {
	meta := p.ObjectMeta
	p.ObjectMeta = metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, Labels: in.labelsOf(meta.Labels),
		CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp, Annotations: in.annotations(meta.Annotations)}
	in.word(&p.Namespace)
	in.buffer = in.buffer[:0]
	for i := range meta.OwnerReferences {
		o := &meta.OwnerReferences[i]
		*o = metav1.OwnerReference{Kind: o.Kind, Name: o.Name, Controller: o.Controller}
		isController := "no"
		if o.Controller != nil && *o.Controller {
			isController = "yes"
		}
		in.text(o.Kind, o.Name, isController)
	}
	p.OwnerReferences = shared(in.owners, in.buffer, meta.OwnerReferences)
	spec := p.Spec
	p.Spec = corev1.PodSpec{NodeName: spec.NodeName, HostNetwork: spec.HostNetwork,
		ServiceAccountName: spec.ServiceAccountName, DeprecatedServiceAccount: spec.DeprecatedServiceAccount,
		InitContainers: in.containersOf(spec.InitContainers), Containers: in.containersOf(spec.Containers)}
	status := p.Status
	p.Status = corev1.PodStatus{Phase: status.Phase, StartTime: status.StartTime,
		PodIP: status.PodIP, PodIPs: status.PodIPs, HostIP: status.HostIP, HostIPs: status.HostIPs}
	for _, s := range []*string{&p.Spec.NodeName, &p.Spec.ServiceAccountName, &p.Status.HostIP} {
		in.word(s)
	}
}

// annotations leaves those that decide something, and those that are none.
func (in *interner) annotations(m map[string]string) map[string]string {
	var out map[string]string
	for k, v := range m {
		valid, known := in.keys[k]
		if !known {
			valid = len(validation.IsQualifiedName(k)) == 0
			in.keys[k] = valid
		}
		if !valid || k == store.AllowedSourcesAnnotation {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

// containersOf leaves the ports, at their places.
func (in *interner) containersOf(list []corev1.Container) []corev1.Container {
	in.buffer = in.buffer[:0]
	for i := range list {
		c := &list[i]
		*c = corev1.Container{Ports: c.Ports, RestartPolicy: c.RestartPolicy}
		policy := ""
		if c.RestartPolicy != nil {
			policy = string(*c.RestartPolicy)
		}
		in.text("container", policy)
		for j := range c.Ports {
			port := &c.Ports[j]
			*port = corev1.ContainerPort{Name: port.Name, ContainerPort: port.ContainerPort, Protocol: port.Protocol}
			in.text("port", port.Name, string(port.Protocol))
			in.buffer = binary.AppendVarint(in.buffer, int64(port.ContainerPort))
		}
	}
	return shared(in.containers, in.buffer, list)
}
