package kube

import (
	"iter"
	"maps"
)

// known is what is kept of the objects of a kind: their names, with a word for
// each. A name shares its memory with the key that was handed over.
type known struct {
	namespaces map[string]*names
	count      int
}

// names are the objects of one namespace, or those of none.
type names struct {
	namespace string
	objects   map[string]mark
}

// mark is the digest of an object's present version, and a flag.
type mark uint64

const (
	// given says that a version of the object was handed over.
	given mark = 1 << 63

	digestMask = given - 1
)

func newKnown() *known { return &known{namespaces: map[string]*names{}} }

// get gives an object's mark.
func (k *known) get(namespace, name string) (mark, bool) {
	n := k.namespaces[namespace]
	if n == nil {
		return 0, false
	}
	m, found := n.objects[name]
	return m, found
}

// set notes an object and gives its namespace's name, of which there is to be one
// copy. It must not be called in vain: the map takes the new copy of the name.
func (k *known) set(namespace, name string, m mark) string {
	n := k.namespaces[namespace]
	if n == nil {
		n = &names{namespace: namespace, objects: map[string]mark{}}
		k.namespaces[namespace] = n
	}
	before := len(n.objects)
	n.objects[name] = m
	k.count += len(n.objects) - before
	return n.namespace
}

// remove forgets an object and reports whether a version of it was handed over.
func (k *known) remove(namespace, name string) bool {
	n := k.namespaces[namespace]
	if n == nil {
		return false
	}
	m, found := n.objects[name]
	if !found {
		return false
	}
	delete(n.objects, name)
	k.count--
	if len(n.objects) == 0 {
		delete(k.namespaces, namespace)
	}
	return m&given != 0
}

// clone copies the names, to strike out those that are still there while all
// objects are read anew.
func (k *known) clone() *known {
	out := &known{namespaces: make(map[string]*names, len(k.namespaces)), count: k.count}
	for namespace, n := range k.namespaces {
		out.namespaces[namespace] = &names{namespace: n.namespace, objects: maps.Clone(n.objects)}
	}
	return out
}

// all gives the namespace and the name of each object.
func (k *known) all() iter.Seq2[string, string] {
	return func(yield func(namespace, name string) bool) {
		for _, n := range k.namespaces {
			for name := range n.objects {
				if !yield(n.namespace, name) {
					return
				}
			}
		}
	}
}
