package translate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// endpointGroup is what of a service's endpoints has the same ports.
type endpointGroup struct {
	ports []source.ServicePort // sorted
	addrs []netip.Addr         // sorted
}

// text returns the ports as in "TCP:80,443 UDP:53".
func (g *endpointGroup) text() string {
	var b strings.Builder
	for i, p := range g.ports {
		switch {
		case i == 0 || g.ports[i-1].Protocol != p.Protocol:
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(p.Protocol.String() + ":")
		default:
			b.WriteByte(',')
		}
		fmt.Fprint(&b, p.Port)
	}
	return b.String()
}

// service is a service that an object or a policy tells of.
type service struct {
	key    policy.Key
	object *source.Service // nil: there is no such object
	slices map[string]*source.EndpointSlice
	users  map[*object]struct{} // policies that refer to it

	groups []endpointGroup // as policies were joined with
	exists bool            // likewise
	sets   []*policy.Set   // in the model, sorted by key
	// derived are the groups of an analysis without EndpointSlices, from the pods
	// that the service selects; nil: there are slices, or it selects nothing.
	derived []endpointGroup
}

// serviceTable holds the services, and what policies refer to them.
type serviceTable struct {
	step     *step
	policies *compact.Policies
	byKey    map[policy.Key]*service
	dirty    map[*service]struct{}
	uses     map[*object]*serviceUse
}

// serviceUse is a policy that refers to services.
type serviceUse struct {
	services []policy.Key
	expanded compact.Packed // the policy as it is in the model; empty: not yet
}

func newServiceTable(s *step, policies *compact.Policies) serviceTable {
	return serviceTable{step: s, policies: policies, byKey: map[policy.Key]*service{}, dirty: map[*service]struct{}{}, uses: map[*object]*serviceUse{}}
}

// touch returns a service that is about to change, making it if it is not known.
func (t *serviceTable) touch(key policy.Key) *service {
	s := t.byKey[key]
	if s == nil {
		s = &service{key: key, slices: map[string]*source.EndpointSlice{}, users: map[*object]struct{}{}}
		t.byKey[key] = s
	}
	t.dirty[s] = struct{}{}
	return s
}

func (t *serviceTable) namesIn(namespace string) []string {
	var names []string
	for key, s := range t.byKey {
		if key.Namespace == namespace && s.isThere() {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	return names
}

// isThere reports whether the source has anything of the service.
func (s *service) isThere() bool { return s.object != nil || len(s.slices) > 0 }

// groupByPorts sorts endpoints by their ports, of which one address may have some from
// each of several slices. The declared ports are a group even without endpoints.
func groupByPorts(of map[netip.Addr][]source.ServicePort, declared []source.ServicePort) []endpointGroup {
	byText := map[string]*endpointGroup{}
	add := func(ports []source.ServicePort) *endpointGroup {
		g := &endpointGroup{ports: ports}
		text := g.text()
		if known := byText[text]; known != nil {
			return known
		}
		byText[text] = g
		return g
	}
	if len(declared) > 0 {
		add(declared)
	}
	// Nearly always, all have the same ports, and in the same list.
	var last []source.ServicePort
	var group *endpointGroup
	for addr, ports := range of {
		if len(ports) == 0 {
			continue
		}
		if group == nil || !slices.Equal(ports, last) {
			last, group = ports, add(ports)
		}
		group.addrs = append(group.addrs, addr)
	}
	out := make([]endpointGroup, 0, len(byText))
	for _, text := range slices.Sorted(maps.Keys(byText)) {
		g := byText[text]
		slices.SortFunc(g.addrs, netip.Addr.Compare)
		out = append(out, *g)
	}
	return out
}

// endpoints returns the ports of each endpoint of the service's slices.
func (s *service) endpoints() map[netip.Addr][]source.ServicePort {
	of := map[netip.Addr][]source.ServicePort{}
	for _, slice := range s.slices {
		for _, a := range slice.Addrs {
			switch known, found := of[a]; {
			case !found || len(known) == 0:
				of[a] = slice.Ports
			case !slices.Equal(known, slice.Ports):
				of[a] = source.SortPorts(slices.Concat(known, slice.Ports))
			}
		}
	}
	return of
}

// declared returns the ports that all endpoints of the service will have, if that
// can be told before there are any: then a service whose last endpoint goes keeps
// its rules.
func (s *service) declared() []source.ServicePort {
	if s.object == nil || len(s.object.Selector) == 0 {
		return nil
	}
	var ports []source.ServicePort
	for _, p := range s.object.Ports {
		if p.Name != "" {
			return nil
		}
		ports = append(ports, p.ServicePort)
	}
	return source.SortPorts(ports)
}

// setsOf makes the sets that rules which refer to the service select.
func (s *service) setsOf(of map[netip.Addr][]source.ServicePort, groups []endpointGroup) []*policy.Set {
	all := slices.SortedFunc(maps.Keys(of), netip.Addr.Compare)
	sets := []*policy.Set{s.set(source.LabelServiceAddresses, "", all)}
	for i := range groups {
		sets = append(sets, s.set(source.LabelServicePorts, groups[i].text(), groups[i].addrs))
	}
	return sets
}

func (s *service) set(label, ports string, addrs []netip.Addr) *policy.Set {
	key := s.key
	if ports != "" {
		key.Name += " " + ports
	}
	nets := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
	}
	value := source.ServiceLabel(s.key, ports)
	return &policy.Set{Key: key, Labels: selector.Labels{{Key: label, Value: value}}, Nets: nets, Internal: true}
}
