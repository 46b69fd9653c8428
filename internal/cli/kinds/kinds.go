// Package kinds are the kinds of objects by the names that users of kubectl write.
package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// netpol is a short name of Kubernetes' NetworkPolicy. Here it stands for Calico's as
// well, as the whole word does: a host without Kubernetes may well have no other.
const netpol = "netpol"

// Parse returns the kinds that a word stands for: two for NetworkPolicy,
// unless a group is written too.
func Parse(word string) ([]policy.KindInfo, error) {
	name, group, hasGroup := strings.Cut(strings.ToLower(word), ".")
	if name == netpol {
		name = "networkpolicy"
	}
	var found []policy.KindInfo
	for _, k := range policy.StoredKinds() {
		if k.Matches(name) && (!hasGroup || group == k.Group) {
			found = append(found, k)
		}
	}
	if len(found) > 0 {
		sortKinds(found)
		return found, nil
	}
	if hasGroup {
		if of, err := Parse(name); err == nil {
			names := make([]string, len(of))
			for i, k := range of {
				names[i] = k.FullResource()
			}
			return nil, fmt.Errorf("unknown kind %q; did you mean %s?", word, suggest.OrList(names))
		}
	}
	var known []string
	for _, k := range policy.StoredKinds() {
		known = append(known, k.Resource)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	hint := suggest.DidYouMean(name, known)
	if hint == "" {
		hint = ": expected one of " + strings.Join(known, ", ")
	}
	return nil, fmt.Errorf("unknown kind %q%s", word, hint)
}

// sortKinds sorts by kind as written, and version.
func sortKinds(kinds []policy.KindInfo) {
	slices.SortFunc(kinds, func(a, b policy.KindInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.APIVersion(), b.APIVersion()))
	})
}

// ByKey returns the kind of a key; kinds are never unknown that a store holds.
func ByKey(kind string) policy.KindInfo {
	info, found := policy.LookupKind(kind)
	if !found {
		return policy.KindInfo{Key: kind, Name: kind}
	}
	return info
}

// Names lists kinds, for shells.
func Names() []string {
	var names []string
	for _, k := range policy.StoredKinds() {
		names = append(names, k.FullResource())
	}
	slices.Sort(names)
	return names
}
