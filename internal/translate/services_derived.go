package translate

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// derive has services without EndpointSlices consist of the endpoints of the model that
// they select, as in a cluster. For an analysis: manifests have no slices.
func (t *serviceTable) derive(m *policy.Model) {
	affected := map[policy.Key]compact.Packed{} // policies
	for _, s := range t.byKey {
		s.derived = nil
		if len(s.users) == 0 || s.object == nil || len(s.object.Selector) == 0 || len(s.slices) > 0 {
			continue
		}
		of := map[netip.Addr][]source.ServicePort{}
		for _, ep := range m.Endpoints {
			if s.selects(ep) {
				for _, a := range ep.Addrs {
					of[a] = s.portsOf(ep)
				}
			}
		}
		s.derived = groupByPorts(of, s.declared())
		ours := func(set *policy.Set) bool { return slices.Contains(s.sets, set) }
		m.Sets = append(slices.DeleteFunc(m.Sets, ours), s.setsOf(of, s.derived)...)
		for o := range s.users {
			switch m := o.parsed.(type) {
			case compact.Packed:
				affected[o.key] = m
			case *profile:
				affected[o.key] = m.packed
			}
		}
	}
	for i, p := range m.Policies {
		if packed, ok := affected[p.Key]; ok {
			m.Policies[i] = t.expand(t.policies.Unpack(packed))
		}
	}
	slices.SortFunc(m.Sets, func(a, b *policy.Set) int { return a.Key.Compare(b.Key) })
}

// selects reports whether an endpoint is one of the service's, by its labels.
func (s *service) selects(ep *policy.Endpoint) bool {
	if ep.Key.Namespace != s.key.Namespace || !source.IsPod().Match(ep.Labels) {
		return false
	}
	for k, v := range s.object.Selector {
		if got, found := ep.Labels.Get(source.OwnKey(k)); !found || got != v {
			return false
		}
	}
	return true
}

// portsOf returns the service's ports at an endpoint.
func (s *service) portsOf(ep *policy.Endpoint) []source.ServicePort {
	var ports []source.ServicePort
	for _, p := range s.object.Ports {
		if p.Name == "" {
			ports = append(ports, p.ServicePort)
			continue
		}
		for _, np := range ep.Ports {
			if np.Name == p.Name && np.Protocol == p.Protocol {
				ports = append(ports, source.ServicePort{Protocol: np.Protocol, Port: np.Port})
				break
			}
		}
	}
	return source.SortPorts(ports)
}

// derivedNotes says that endpoints of services are guessed.
func (t *serviceTable) derivedNotes(originOf func(policy.Key) store.Origin) []store.Finding {
	var keys []policy.Key
	for key, s := range t.byKey {
		if s.derived != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, policy.Key.Compare)
	r := store.Resource{Key: keys[0], Origin: originOf(keys[0])}
	f := r.At("", "has no EndpointSlices here, so its endpoints are taken to be the pods that it selects")
	if len(keys) > 1 {
		f.Message += fmt.Sprintf("; the same holds of %d more", len(keys)-1)
	}
	f.Note = true
	return []store.Finding{f}
}
