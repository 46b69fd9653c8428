package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// entry is one element of a verdict map keyed by local address, or of a self set.
type entry struct {
	kind  entryKind
	path  path
	class dataplane.ClassID // of a cell
	addr  netip.Addr
}

type entryKind uint8

const (
	entryDispatch entryKind = iota
	entrySelf               // by family: path.dir is Egress
	entryHere               // likewise
	entryBase
	entryCell
	entryToNode // path.dir is Egress
)

// cellSet is the verdict map of a class's cells on one path.
type cellSet struct {
	path  path
	class dataplane.ClassID
}

// hereEntry is a local endpoint in the set of all of them.
func hereEntry(a netip.Addr) entry {
	return entry{kind: entryHere, path: path{policy.Egress, familyOf(a)}, addr: a}
}

// toNodeEntry is a local endpoint in the map of those that policy governs towards their
// own node.
func toNodeEntry(a netip.Addr) entry {
	return entry{kind: entryToNode, path: path{policy.Egress, familyOf(a)}, addr: a}
}

// value returns what an entry should be in the present state; zero if it should not be.
func (l *layout) value(e entry) codec.Verdict {
	s := l.state
	local, ok := s.Local(e.addr)
	if ok && (e.kind == entryHere || e.kind == entrySelf) {
		return accept // a plain set's element has no verdict; this says that it is there
	}
	if !ok || local.Egress == 0 && local.Ingress == 0 {
		return codec.Verdict{}
	}
	program := s.Program(local.Program(e.path.dir))
	switch e.kind {
	case entryToNode:
		if local.ToNode != 0 {
			return jumpTo(toNodeChain(local.ToNode))
		}
	case entryDispatch:
		if program == nil {
			return jumpTo(strictChain)
		}
		return jumpTo(e.path.String())
	case entryBase, entryCell:
		if name, _, ok := l.rowChainOf(e); ok {
			return goTo(name)
		}
	}
	return codec.Verdict{}
}

func (e entry) set() string {
	switch e.kind {
	case entrySelf:
		return selfName(e.path.family)
	case entryHere:
		return hereName(e.path.family)
	case entryDispatch:
		return e.path.String()
	case entryBase:
		return e.path.baseName()
	case entryToNode:
		return toNodeMap(e.path.family)
	}
	return e.path.className(e.class)
}

func (e entry) element(v codec.Verdict) codec.Element {
	switch e.kind {
	case entrySelf:
		return codec.Element{Key: addrKey(e.addr) + addrKey(e.addr)}
	case entryHere:
		return codec.Element{Key: addrKey(e.addr)}
	}
	return codec.Element{Key: addrKey(e.addr), Verdict: v}
}
