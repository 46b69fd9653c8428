package engine

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Host endpoints. A workload's side of a connection is one address, so that its
// programs know what is true of it. At a host endpoint the local side may be any
// address: there is a program for the classes of which none of the predicates is true
// that rules ask of that side, and one more for every other class whose rules differ.

// hostTable is the host endpoints that programs are made for, and what the last
// flush emitted for them.
type hostTable struct {
	locals      map[policy.Key]*local
	attachments map[dataplane.AttachmentKey]hostAttachment
	changed     bool
	// own and ownNames are the predicates, and the names of ports, that rules ask of the
	// local side: classes of which others update true or false change no attachment.
	own, ownNames map[uint32]struct{}
}

// hostAttachment is an attachment with the programs that it retains.
type hostAttachment struct {
	dataplane.HostAttachment
	programs []uint32
}

func newHostTable() hostTable {
	return hostTable{
		locals: map[policy.Key]*local{}, attachments: map[dataplane.AttachmentKey]hostAttachment{},
		own: map[uint32]struct{}{}, ownNames: map[uint32]struct{}{},
	}
}

// setHost notes the state of a host endpoint that programs are made for; nil if it
// is none, or none any more.
func (e *ruleset) setHost(key policy.Key, l *local) {
	if _, was := e.hosts.locals[key]; !was && l == nil {
		return
	}
	e.hosts.changed = true
	if l == nil {
		delete(e.hosts.locals, key)
	} else {
		e.hosts.locals[key] = l
	}
}

// mark has the attachments looked at again if a predicate that begins or ceases to be true of
// a class is one that they depend on. name is that of a port's predicate, else 0.
func (t *hostTable) mark(predicate, name uint32) {
	if t.changed {
		return
	}
	_, t.changed = t.own[predicate]
	if name != 0 && !t.changed {
		_, t.changed = t.ownNames[name]
	}
}
