package translate

import (
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
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

// holdHash returns what stands for a hash.
func (t *endpointTable) holdHash(name, hash string) uint32 {
	if hash != "" && strings.HasSuffix(name, hash) {
		return isPart | uint32(len(hash))
	}
	return t.words.Retain(hash)
}

// holdOwner returns what stands for the name of an owner.
func (t *endpointTable) holdOwner(name, owner string) uint32 {
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

// holdController returns the number of what manages an endpoint; 0 for none.
func (t *Translator) holdController(n *namespace, key policy.Key, hash string) uint32 {
	if key == (policy.Key{}) {
		return 0
	}
	tab, words := t.endpoints.controllers, t.endpoints.words
	want := controllerEntry{kind: words.Retain(key.Kind), namespace: n.id, name: words.Retain(key.Name), hash: t.endpoints.holdHash(key.Name, hash)}
	id := tab.index.Find(want.sum(), func(id uint32) bool {
		c := tab.at(id)
		return c.kind == want.kind && c.namespace == want.namespace && c.name == want.name && c.hash == want.hash
	})
	if id != 0 {
		words.Release(want.kind)
		words.Release(want.name)
		t.endpoints.releasePart(want.hash)
	} else {
		owner := t.owner(key, hash)
		want.ownerKind, want.ownerName = words.Retain(owner.Kind), t.endpoints.holdOwner(key.Name, owner.Name)
		id = tab.entries.Add()
		*tab.at(id) = want
		tab.index.AddMissed(want.sum(), id)
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
	return policy.Key{Kind: t.words.At(c.kind), Namespace: t.namespaces[c.namespace].name, Name: t.words.At(c.name)}
}

// ownerKey returns the workload that a record belongs to; zero for none.
func (t *endpointTable) ownerKey(id uint32) policy.Key {
	if id == 0 {
		return policy.Key{}
	}
	c := t.controllers.at(id)
	return policy.Key{Kind: t.words.At(c.ownerKind), Namespace: t.namespaces[c.namespace].name, Name: t.ownerNameOf(c)}
}

// replaceWorkload notes that a workload came, went or has another controller:
// it may tell to whom the pods of its namespace belong.
func (t *Translator) replaceWorkload(o *object, was, now any) {
	a, before := was.(*endpoint)
	b, after := now.(*endpoint)
	if before == after && (!before || a.controller == b.controller) {
		return
	}
	if n := t.namespaces[o.key.Namespace]; n != nil {
		t.step.workloads[n] = struct{}{}
	}
}

// settleOwners finds out anew to whom the pods of namespaces belong.
func (t *Translator) settleOwners(of map[*namespace]struct{}) {
	tab, words := t.endpoints, t.endpoints.words
	if len(of) == 0 {
		return
	}
	for id := uint32(1); id <= tab.controllers.entries.Numbers(); id++ {
		c := tab.controllers.at(id)
		if c.refs == 0 {
			continue
		}
		if _, found := of[tab.namespaces[c.namespace]]; !found {
			continue
		}
		owner := t.owner(tab.controllerKey(id), tab.hashOf(c))
		kind, name := words.Retain(owner.Kind), tab.holdOwner(words.At(c.name), owner.Name)
		if kind != c.ownerKind || name != c.ownerName {
			t.step.owners[id] = struct{}{}
		}
		words.Release(c.ownerKind)
		tab.releasePart(c.ownerName)
		c.ownerKind, c.ownerName = kind, name
	}
}

// owner returns the workload that something which a controller manages belongs to
// in the end: a pod of a ReplicaSet of a Deployment belongs to the Deployment.
func (t *Translator) owner(controller policy.Key, hash string) policy.Key {
	key := controller
	// A chain is at most CronJob, Job, pod; more would be a cycle.
	for range 4 {
		above, known := t.controllerOf(key)
		if known && above == (policy.Key{}) {
			return key
		}
		if !known {
			return t.guessOwner(key, hash)
		}
		key = above
	}
	return key
}

// controllerOf returns what manages a workload, and whether the workload is known.
func (t *Translator) controllerOf(key policy.Key) (policy.Key, bool) {
	if o := t.objects[key]; o != nil {
		if e, ok := o.means.(*endpoint); ok {
			return e.controller, true
		}
	}
	return policy.Key{}, false
}

// guessOwner returns what manages a workload that is not among the objects: its
// name tells, if its manager made it up.
func (t *Translator) guessOwner(key policy.Key, hash string) policy.Key {
	switch key.Kind {
	case kindReplicaSet:
		// A Deployment calls its ReplicaSets NAME-HASH and labels their pods so.
		if name, found := strings.CutSuffix(key.Name, "-"+hash); found && hash != "" && name != "" {
			return policy.Key{Kind: kindDeployment, Namespace: key.Namespace, Name: name}
		}
	case kindJob:
		// A CronJob calls its Jobs NAME-TIME, but so may a person: ask for the CronJob.
		if dash := strings.LastIndexByte(key.Name, '-'); dash > 0 {
			cronJob := policy.Key{Kind: kindCronJob, Namespace: key.Namespace, Name: key.Name[:dash]}
			_, known := t.controllerOf(cronJob)
			if known && strings.Trim(key.Name[dash+1:], "0123456789") == "" {
				return cronJob
			}
		}
	}
	return key
}
