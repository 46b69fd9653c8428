package engine

import (
	"encoding/binary"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine/l4"
	"github.com/tierwall/tierwall/policy"
)

// portTable keeps the lists of ports of rules in force, each once: equal lists are
// the same pointer, so that rules can be compared.
type portTable struct {
	byKey  map[string]*portEntry
	byList map[*l4.PortList]*portEntry
}

type portEntry struct {
	key  string
	list l4.PortList
	refs int // rules
}

func newPortTable() portTable {
	return portTable{byKey: map[string]*portEntry{}, byList: map[*l4.PortList]*portEntry{}}
}

// retainPorts returns the list of a rule's ports; nil for nil.
func (e *ruleset) retainPorts(p *policy.Ports) *l4.PortList {
	if p == nil {
		return nil
	}
	key := appendPorts(e.scratch.key[:0], p)
	e.scratch.key = key
	if en := e.ports.byKey[string(key)]; en != nil {
		en.refs++
		return &en.list
	}
	en := &portEntry{key: string(key), refs: 1}
	for _, r := range p.Ranges {
		en.list.Ranges = append(en.list.Ranges, dataplane.Range(r))
	}
	for _, name := range p.Names {
		en.list.Names = append(en.list.Names, e.retainName(name))
	}
	e.ports.byKey[en.key] = en
	e.ports.byList[&en.list] = en
	return &en.list
}

func (e *ruleset) releasePorts(l *l4.PortList) {
	if l == nil {
		return
	}
	en := e.ports.byList[l]
	if en.refs--; en.refs > 0 {
		return
	}
	for _, name := range l.Names {
		e.releaseName(name)
	}
	delete(e.ports.byKey, en.key)
	delete(e.ports.byList, l)
}

// appendPorts appends all that ports say: equal bytes, equal ports.
func appendPorts(b []byte, p *policy.Ports) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.Ranges)))
	for _, r := range p.Ranges {
		b = binary.LittleEndian.AppendUint16(b, r.First)
		b = binary.LittleEndian.AppendUint16(b, r.Last)
	}
	for _, name := range p.Names {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	return b
}
