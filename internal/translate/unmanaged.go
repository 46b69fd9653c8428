package translate

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// Unmanaged is a pod or workload that is no endpoint, since policy has no say
// on it.
type Unmanaged struct {
	Key    policy.Key
	Owner  policy.Key // the workload that it belongs to; zero if none
	Reason source.Reason
	Node   string       // that it runs on; empty if unknown
	Addrs  []netip.Addr // of the node, as far as a pod tells
}

// Unmanaged returns the pods and workloads that are no endpoints, sorted by key.
func (t *Translator) Unmanaged() []Unmanaged {
	var out []Unmanaged
	for _, o := range t.objects {
		if e, ok := o.parsed.(*source.Endpoint); ok && e.Unmanaged != "" {
			u := Unmanaged{Key: o.key, Reason: e.Unmanaged, Node: e.Node, Addrs: e.HostAddrs}
			if e.Controller != (policy.Key{}) {
				u.Owner = t.objects.owner(e.Controller, e.TemplateHash)
			}
			out = append(out, u)
		}
	}
	t.endpoints.each(func(id uint32, r *record) {
		if !r.managed() {
			out = append(out, Unmanaged{Key: t.endpoints.key(r), Owner: t.endpoints.ownerKey(r.controller), Reason: r.reason(),
				Node: t.endpoints.words.At(r.node), Addrs: t.endpoints.hostAddrs[id]})
		}
	})
	slices.SortFunc(out, func(a, b Unmanaged) int { return a.Key.Compare(b.Key) })
	return out
}

// originOf returns the place of an object; offline only for pods.
func (t *Translator) originOf(key policy.Key) store.Origin {
	if o := t.objects[key]; o != nil {
		return o.origin
	}
	return t.endpoints.origins[t.endpoints.record(key)]
}

// unmanagedNotes counts what is unmanaged, by the reason. What is scaled to
// zero holds nothing that a user could miss.
func (t *Translator) unmanagedNotes(list []Unmanaged) []store.Finding {
	var out []store.Finding
	for _, reason := range []source.Reason{source.HostNetwork, source.Ended} {
		var first policy.Key
		n := 0
		for _, u := range list {
			if u.Reason != reason {
				continue
			}
			if n == 0 {
				first = u.Key
			}
			n++
		}
		if n == 0 {
			continue
		}
		r := store.Resource{Key: first, Origin: t.originOf(first)}
		note := r.At("", "%s, so policy has no say on it", reason)
		if n > 1 {
			note.Message += fmt.Sprintf("; the same holds of %d more", n-1)
		}
		note.Note = true
		out = append(out, note)
	}
	return out
}
