package selector

import (
	"slices"
	"strings"
)

// NamespaceLabel is the label that every namespaced endpoint carries;
// [Global] matches where it is absent.
const NamespaceLabel = "projectcalico.org/namespace"

// Label is one key with its value.
type Label struct {
	Key, Value string
}

// Labels is a set of labels, sorted by key (bytewise), each key once. It is
// immutable: share it freely. Make one with [NewLabels]; a slice put together
// by hand must keep that order, since Get relies on it.
type Labels []Label

// NewLabels makes a set of the map's entries.
func NewLabels(m map[string]string) Labels {
	ls := make(Labels, 0, len(m))
	for k, v := range m {
		ls = append(ls, Label{k, v})
	}
	slices.SortFunc(ls, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
	return ls
}

// Get returns the value of a key and whether the set has it.
func (ls Labels) Get(key string) (string, bool) {
	lo, hi := 0, len(ls)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if ls[mid].Key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(ls) && ls[lo].Key == key {
		return ls[lo].Value, true
	}
	return "", false
}
