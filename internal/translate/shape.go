package translate

import (
	"encoding/binary"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A shape is what the pods of a workload have in common: service account,
// orchestrator, profile, ports and own labels, as a string. It begins with the
// numbers of the first four; for each label the number of its key follows, and its
// value. What the numbers mean is held once for all records of the shape.

// namespacesProfile stands for the profile of the namespace that a pod is in: then
// pods of many namespaces can be of one shape.
const namespacesProfile = 1<<32 - 1

// shapeHead is the part of a shape before its labels.
type shapeHead struct {
	account, orchestrator, profile, ports uint32
}

const headLen = 16

func headOf(shape string) (h shapeHead) {
	for i, p := range []*uint32{&h.account, &h.orchestrator, &h.profile, &h.ports} {
		*p = uint32(shape[4*i]) | uint32(shape[4*i+1])<<8 | uint32(shape[4*i+2])<<16 | uint32(shape[4*i+3])<<24
	}
	return h
}

// eachLabel visits the labels of a shape in their order, values as parts of it.
func eachLabel(shape string, visit func(key uint32, value string)) {
	for rest := shape[headLen:]; rest != ""; {
		key, n := uvarint(rest)
		rest = rest[n:]
		size, n := uvarint(rest)
		visit(uint32(key), rest[n:n+int(size)])
		rest = rest[n+int(size):]
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

// holdShape gives the number of the shape of an endpoint in a namespace.
func (t *endpointTable) holdShape(e *endpoint, namespace string) uint32 {
	h := shapeHead{account: t.words.Hold(e.account), orchestrator: t.words.Hold(e.orchestrator), ports: t.holdPorts(e.ports)}
	if e.profile == namespaceProfile(namespace) {
		h.profile = namespacesProfile
	} else {
		h.profile = t.words.Hold(e.profile)
	}
	b := t.buffer[:0]
	for _, word := range []uint32{h.account, h.orchestrator, h.profile, h.ports} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	for _, l := range e.own {
		b = binary.AppendUvarint(b, uint64(t.words.Hold(l.Key)))
		b = binary.AppendUvarint(b, uint64(len(l.Value)))
		b = append(b, l.Value...)
	}
	t.buffer = b
	id, isNew := t.shapes.HoldBytes(b)
	if !isNew { // it holds its words already
		t.releaseWords(t.shapes.At(id))
	}
	return id
}

func (t *endpointTable) releaseShape(id uint32) {
	if id == 0 {
		return
	}
	shape := t.shapes.At(id)
	if t.shapes.Release(id) {
		t.releaseWords(shape)
	}
}

// releaseWords lets go of the words of a shape.
func (t *endpointTable) releaseWords(shape string) {
	h := headOf(shape)
	t.words.Release(h.account)
	t.words.Release(h.orchestrator)
	if h.profile != namespacesProfile {
		t.words.Release(h.profile)
	}
	t.releasePorts(h.ports)
	eachLabel(shape, func(key uint32, _ string) { t.words.Release(key) })
}

// holdPorts gives the number of a list of ports; 0 for none.
func (t *endpointTable) holdPorts(ports []policy.NamedPort) uint32 {
	b := t.buffer[:0]
	for _, p := range ports {
		b = append(b, byte(p.Protocol), byte(p.Port>>8), byte(p.Port))
		b = binary.AppendUvarint(b, uint64(len(p.Name)))
		b = append(b, p.Name...)
	}
	t.buffer = b
	id, isNew := t.ports.HoldBytes(b)
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

// portsOf reads what holdPorts wrote.
func portsOf(text string) (ports []policy.NamedPort) {
	for text != "" {
		size, n := uvarint(text[3:])
		name := text[3+n : 3+n+int(size)]
		ports = append(ports, policy.NamedPort{Protocol: policy.Protocol(text[0]), Port: uint16(text[1])<<8 | uint16(text[2]), Name: name})
		text = text[3+n+int(size):]
	}
	return ports
}

// appendOwn appends the own labels of a shape, sorted by key.
func (t *endpointTable) appendOwn(to selector.Labels, shape string) selector.Labels {
	eachLabel(shape, func(key uint32, value string) {
		to = append(to, selector.Label{Key: t.words.At(key), Value: value})
	})
	return to
}
