package translate

import (
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// controllerTable holds what manages pods, once for all pods of each.
type controllerTable struct {
	entries compact.Slab[controllerEntry]
	index   compact.Index
}

// controllerEntry is one thing that manages pods: mostly a ReplicaSet. All but the
// namespace are words, or with isPart a number of letters of the name.
type controllerEntry struct {
	kind, namespace, name uint32
	hash                  uint32 // pod-template-hash, which ends the name of a ReplicaSet
	ownerKind, ownerName  uint32 // the workload that it belongs to in the end
	refs                  uint32
}

// isPart marks a hash that is the last letters of the name, and an owner's name
// that is the first ones: nearly always they are.
const isPart = 1 << 31

// retainHash returns what stands for a hash.
func (t *endpointTable) retainHash(name, hash string) uint32 {
	if hash != "" && strings.HasSuffix(name, hash) {
		return isPart | uint32(len(hash))
	}
	return t.words.Retain(hash)
}

// retainOwner returns what stands for the name of an owner.
func (t *endpointTable) retainOwner(name, owner string) uint32 {
	if owner != "" && strings.HasPrefix(name, owner) {
		return isPart | uint32(len(owner))
	}
	return t.words.Retain(owner)
}

func (t *endpointTable) releasePart(part uint32) {
	if part&isPart == 0 {
		t.words.Release(part)
	}
}

func (t *endpointTable) hashOf(c *controllerEntry) string {
	if c.hash&isPart == 0 {
		return t.words.At(c.hash)
	}
	name := t.words.At(c.name)
	return name[len(name)-int(c.hash&^isPart):]
}

func (t *endpointTable) ownerNameOf(c *controllerEntry) string {
	if c.ownerName&isPart == 0 {
		return t.words.At(c.ownerName)
	}
	return t.words.At(c.name)[:c.ownerName&^isPart]
}

func newControllerTable() *controllerTable {
	t := &controllerTable{}
	t.index = compact.NewIndex(func(id uint32) uint64 { return t.entries.At(id).sum() })
	return t
}

func (t *controllerTable) at(id uint32) *controllerEntry { return t.entries.At(id) }

func (c *controllerEntry) sum() uint64 {
	h := (uint64(c.namespace)<<32 | uint64(c.name)) * 0x9e3779b97f4a7c15
	return (h ^ h>>29 ^ uint64(c.kind)<<32 ^ uint64(c.hash)) * 0x9e3779b97f4a7c15
}

// retainController returns the number of what manages an endpoint; 0 for none.
func (t *endpointTable) retainController(n *namespace, key policy.Key, hash string) uint32 {
	if key == (policy.Key{}) {
		return 0
	}
	tab, words := t.controllers, t.words
	want := controllerEntry{kind: words.Retain(key.Kind), namespace: n.id, name: words.Retain(key.Name), hash: t.retainHash(key.Name, hash)}
	id := tab.index.Find(want.sum(), func(id uint32) bool {
		c := tab.at(id)
		return c.kind == want.kind && c.namespace == want.namespace && c.name == want.name && c.hash == want.hash
	})
	if id != 0 {
		words.Release(want.kind)
		words.Release(want.name)
		t.releasePart(want.hash)
	} else {
		owner := t.objects.owner(key, hash)
		want.ownerKind, want.ownerName = words.Retain(owner.Kind), t.retainOwner(key.Name, owner.Name)
		id = tab.entries.Add()
		*tab.at(id) = want
		tab.index.Add(want.sum(), id)
	}
	tab.at(id).refs++
	return id
}

func (t *endpointTable) releaseController(id uint32) {
	if id == 0 {
		return
	}
	c := t.controllers.at(id)
	if c.refs--; c.refs > 0 {
		return
	}
	t.controllers.index.Remove(c.sum(), id)
	for _, part := range []uint32{c.kind, c.name, c.hash, c.ownerKind, c.ownerName} {
		t.releasePart(part)
	}
	t.controllers.entries.Drop(id)
}

// controllerKey returns what manages a record; zero if nothing does.
func (t *endpointTable) controllerKey(id uint32) policy.Key {
	if id == 0 {
		return policy.Key{}
	}
	c := t.controllers.at(id)
	return policy.Key{Kind: t.words.At(c.kind), Namespace: t.namespaces.at(c.namespace).name, Name: t.words.At(c.name)}
}

// ownerKey returns the workload that a record belongs to; zero for none.
func (t *endpointTable) ownerKey(id uint32) policy.Key {
	if id == 0 {
		return policy.Key{}
	}
	c := t.controllers.at(id)
	return policy.Key{Kind: t.words.At(c.ownerKind), Namespace: t.namespaces.at(c.namespace).name, Name: t.ownerNameOf(c)}
}

// noteWorkload notes that a workload came, went or has another controller:
// it may tell to whom the pods of its namespace belong.
func (t *endpointTable) noteWorkload(o *object, was, now any) {
	a, before := was.(*source.Endpoint)
	b, after := now.(*source.Endpoint)
	if before == after && (!before || a.Controller == b.Controller) {
		return
	}
	if n := t.namespaces.byName[o.key.Namespace]; n != nil {
		t.step.workloads[n] = struct{}{}
	}
}

// recomputeOwners finds out anew to whom the pods belong in whose namespaces workloads
// changed in the step.
func (t *endpointTable) recomputeOwners() {
	words := t.words
	if len(t.step.workloads) == 0 {
		return
	}
	for id := uint32(1); id <= t.controllers.entries.Numbers(); id++ {
		c := t.controllers.at(id)
		if c.refs == 0 {
			continue
		}
		if _, found := t.step.workloads[t.namespaces.at(c.namespace)]; !found {
			continue
		}
		owner := t.objects.owner(t.controllerKey(id), t.hashOf(c))
		kind, name := words.Retain(owner.Kind), t.retainOwner(words.At(c.name), owner.Name)
		if kind != c.ownerKind || name != c.ownerName {
			t.step.owners[id] = struct{}{}
		}
		words.Release(c.ownerKind)
		t.releasePart(c.ownerName)
		c.ownerKind, c.ownerName = kind, name
	}
}
