package translate

import (
	"encoding/binary"
	"strings"

	"github.com/tierwall/tierwall/internal/translate/source"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A pod template key is what the pods of a workload have in common: service account,
// orchestrator, profiles, ports and own labels, as a string. It begins with the
// numbers of the first four (podTemplateHead); for each label the number of its key follows, and its
// value, or that it is a part of the pod's name. What the numbers mean is held once
// for all records of the pod template key.

// podTemplateHead is the part of a pod template key before its labels.
type podTemplateHead struct {
	account, orchestrator, profiles, ports uint32
	// ofNamespace says that the one profile is that of the namespace that a pod is in:
	// then pods of many namespaces can be of one pod template key.
	ofNamespace bool
}

// append appends the head. The number of the profiles has a one added, or is 0.
func (h *podTemplateHead) append(b []byte) []byte {
	profiles := uint64(h.profiles) + 1
	if h.ofNamespace {
		profiles = 0
	}
	for _, v := range []uint64{uint64(h.account), uint64(h.orchestrator), profiles, uint64(h.ports)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func headOf(podTemplateKey string) (h podTemplateHead) {
	h, _ = cutHead(podTemplateKey)
	return h
}

// cutHead returns the head of a pod template key, and its labels.
func cutHead(podTemplateKey string) (h podTemplateHead, labels string) {
	var v [4]uint64
	for i := range v {
		value, n := uvarint(podTemplateKey)
		v[i], podTemplateKey = value, podTemplateKey[n:]
	}
	h = podTemplateHead{account: uint32(v[0]), orchestrator: uint32(v[1]), ports: uint32(v[3]), ofNamespace: v[2] == 0}
	if !h.ofNamespace {
		h.profiles = uint32(v[2] - 1)
	}
	return h, podTemplateKey
}

// The values of labels begin with a number: these stand for what a StatefulSet
// gives each of its pods, which are of one pod template key nevertheless; or else it is the
// value's length and as much more.
const (
	valueName    = iota // the pod's name
	valueOrdinal        // what follows the name's last dash
	valueText
)

// ordinalOf returns what valueOrdinal stands for.
func ordinalOf(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }

// appendValue appends the value of a label of what has that name.
func appendValue(b []byte, l selector.Label, name string) []byte {
	switch {
	case l.Key == appsv1.StatefulSetPodNameLabel && l.Value == name:
		return append(b, valueName)
	case l.Key == appsv1.PodIndexLabel && l.Value == ordinalOf(name):
		return append(b, valueOrdinal)
	}
	return append(binary.AppendUvarint(b, valueText+uint64(len(l.Value))), l.Value...)
}

// eachLabel visits the labels of a pod template key in their order, values as parts of it or,
// where form is not valueText, empty.
func eachLabel(podTemplateKey string, visit func(key uint32, form uint64, value string)) {
	for _, rest := cutHead(podTemplateKey); rest != ""; {
		key, n := uvarint(rest)
		rest = rest[n:]
		form, n := uvarint(rest)
		rest = rest[n:]
		size := int(max(form, valueText) - valueText)
		visit(uint32(key), min(form, valueText), rest[:size])
		rest = rest[size:]
	}
}

// uvarint is binary.Uvarint of a string.
func uvarint(s string) (v uint64, n int) {
	for shift := 0; ; shift += 7 {
		b := s[n]
		n++
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, n
		}
	}
}

// retainPodTemplateKey returns the number of the pod template key of an endpoint.
func (t *endpointTable) retainPodTemplateKey(e *source.Endpoint, of policy.Key) uint32 {
	h := podTemplateHead{account: t.words.Retain(e.ServiceAccount), orchestrator: t.words.Retain(e.Orchestrator), ports: t.retainPorts(e.Ports)}
	if h.ofNamespace = len(e.Profiles) == 1 && e.Profiles[0] == policy.NamespaceProfile(of.Namespace); !h.ofNamespace {
		h.profiles = t.retainProfiles(e.Profiles)
	}
	b := h.append(t.buffer[:0])
	for _, l := range e.Labels {
		b = binary.AppendUvarint(b, uint64(t.words.Retain(l.Key)))
		b = appendValue(b, l, of.Name)
	}
	t.buffer = b
	id, isNew := t.podTemplateKeys.RetainBytes(b)
	if !isNew { // it holds its words already
		t.releaseWords(t.podTemplateKeys.At(id))
	}
	return id
}

func (t *endpointTable) releasePodTemplateKey(id uint32) {
	if id == 0 {
		return
	}
	podTemplateKey := t.podTemplateKeys.At(id)
	if t.podTemplateKeys.Release(id) {
		t.releaseWords(podTemplateKey)
	}
}

// releaseWords lets go of the words of a pod template key.
func (t *endpointTable) releaseWords(podTemplateKey string) {
	h := headOf(podTemplateKey)
	t.words.Release(h.account)
	t.words.Release(h.orchestrator)
	t.releaseProfiles(h.profiles)
	t.releasePorts(h.ports)
	eachLabel(podTemplateKey, func(key uint32, _ uint64, _ string) { t.words.Release(key) })
}

// retainPorts returns the number of a list of ports; 0 for none.
func (t *endpointTable) retainPorts(ports []policy.NamedPort) uint32 {
	b := t.buffer[:0]
	for _, p := range ports {
		b = append(b, byte(p.Protocol), byte(p.Port>>8), byte(p.Port))
		b = binary.AppendUvarint(b, uint64(len(p.Name)))
		b = append(b, p.Name...)
	}
	t.buffer = b
	id, isNew := t.ports.RetainBytes(b)
	if isNew {
		t.portLists[id] = portsOf(t.ports.At(id))
	}
	return id
}

func (t *endpointTable) releasePorts(id uint32) {
	if t.ports.Release(id) {
		delete(t.portLists, id)
	}
}

// portsOf reads what retainPorts wrote.
func portsOf(text string) (ports []policy.NamedPort) {
	for text != "" {
		size, n := uvarint(text[3:])
		name := text[3+n : 3+n+int(size)]
		ports = append(ports, policy.NamedPort{Protocol: policy.Protocol(text[0]), Port: uint16(text[1])<<8 | uint16(text[2]), Name: name})
		text = text[3+n+int(size):]
	}
	return ports
}

// appendOwn appends the own labels of a record, whose pod template key it is, sorted by key.
// named says that others of the pod template key have other labels.
func (t *endpointTable) appendOwn(to selector.Labels, podTemplateKey string, r *record) (own selector.Labels, named bool) {
	name := ""
	eachLabel(podTemplateKey, func(key uint32, form uint64, value string) {
		if form != valueText && !named {
			name, named = t.name(r), true
		}
		switch form {
		case valueName:
			value = name
		case valueOrdinal:
			value = ordinalOf(name)
		}
		to = append(to, selector.Label{Key: t.words.At(key), Value: value})
	})
	return to, named
}
