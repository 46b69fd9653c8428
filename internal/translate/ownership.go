package translate

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// ownershipNotes tells of conflicts: which endpoints do not have an address that is
// theirs by their object, since another one has it. It names the first, and how many there are more.
func (t *Translator) ownershipNotes(m *policy.Model) []store.Finding {
	holders := map[netip.Addr]*policy.Endpoint{}
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			if h := holders[a]; h == nil || policy.CompareHolders(ep, h) < 0 {
				holders[a] = ep
			}
		}
	}
	var note store.Finding
	n := 0
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			h := holders[a]
			if h == ep {
				continue
			}
			if n++; n == 1 {
				r := store.Resource{Key: ep.Key, Origin: t.originOf(ep.Key)}
				note = r.At("", "does not have the address %s, which %s claims as well and has", a, store.ObjectName(h.Key))
			}
		}
	}
	if n == 0 {
		return nil
	}
	if n > 1 {
		note.Message += fmt.Sprintf("; the same holds of %d more", n-1)
	}
	note.Note = true
	return []store.Finding{note}
}
