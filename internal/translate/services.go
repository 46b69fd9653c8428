package translate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A rule that refers to a service means the addresses of its endpoints, and, as
// a destination, their ports with them: every endpoint of its EndpointSlices,
// ready or not, and never the service's own address, which is gone by the time
// that a packet is judged.
//
// Endpoints come and go all the time. The service becomes private sets of the
// model: one of all addresses, and one for each set of ports that some of them
// have. Rules select these by label. So when pods start and end, nets of sets
// change; rules change only when there is a set of ports that was not there.
//
// The labels that private sets of services carry; the value is the service, and
// the ports after it. A colon can stand neither in a label's key nor in a selector.
const (
	labelServiceAddresses = "service:addresses"
	labelServicePorts     = "service:ports"
)

// servicePort is one port of endpoints.
type servicePort struct {
	protocol policy.Protocol
	port     uint16
}

// endpointGroup is what of a service's endpoints has the same ports.
type endpointGroup struct {
	ports []servicePort // sorted
	addrs []netip.Addr  // sorted
}

// text returns the ports as in "TCP:80,443 UDP:53".
func (g *endpointGroup) text() string {
	var b strings.Builder
	for i, p := range g.ports {
		switch {
		case i == 0 || g.ports[i-1].protocol != p.protocol:
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(p.protocol.String() + ":")
		default:
			b.WriteByte(',')
		}
		fmt.Fprint(&b, p.port)
	}
	return b.String()
}

// serviceObject is what a Service says.
type serviceObject struct {
	selector map[string]string // nil: its endpoints are not found by labels
	ports    []targetPort
}

// targetPort is a port of a service as it is at its endpoints: by number, or by
// the name that each endpoint gives to one.
type targetPort struct {
	servicePort
	name string // empty: the number is known
}

// endpointSlice is what an EndpointSlice says.
type endpointSlice struct {
	service policy.Key // without a name if it is of none
	ports   []servicePort
	addrs   []netip.Addr
}

// service is a service that an object or a policy tells of.
type service struct {
	key    policy.Key
	object *serviceObject // nil: there is no such object
	slices map[string]*endpointSlice
	users  map[*object]struct{} // policies that refer to it

	groups []endpointGroup // as policies were joined with
	exists bool            // likewise
	sets   []*policy.Set   // in the model, sorted by key
	// derived are the groups of an analysis without EndpointSlices, from the pods
	// that the service selects; nil: there are slices, or it selects nothing.
	derived []endpointGroup
}

// serviceTable holds the services.
type serviceTable struct {
	byKey map[policy.Key]*service
	dirty map[*service]struct{}
	uses  map[*object]*serviceUse
}

// serviceUse is a policy that refers to services.
type serviceUse struct {
	services []policy.Key
	expanded compact.Packed // the policy as it is in the model; empty: not yet
}

func newServiceTable() serviceTable {
	return serviceTable{byKey: map[policy.Key]*service{}, dirty: map[*service]struct{}{}, uses: map[*object]*serviceUse{}}
}

// touch returns a service that is about to change, making it if it is not known.
func (t *serviceTable) touch(key policy.Key) *service {
	s := t.byKey[key]
	if s == nil {
		s = &service{key: key, slices: map[string]*endpointSlice{}, users: map[*object]struct{}{}}
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

// translateService translates a service.
func translateService(o *corev1.Service) (*serviceObject, problems) {
	var ps problems
	ps.shortName("metadata.name", o.Name, "service")
	out := &serviceObject{selector: o.Spec.Selector}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		field := at("spec.ports", i)
		target := targetPort{servicePort: servicePort{protocol: policy.TCP}, name: p.TargetPort.StrVal}
		if p.Protocol != "" {
			target.protocol = ps.portedProtocol(field+".protocol", string(p.Protocol))
		}
		switch {
		case target.name != "":
		case p.TargetPort.IntVal != 0:
			target.port = ps.portNumber(field+".targetPort", int64(p.TargetPort.IntVal))
		default:
			target.port = ps.portNumber(field+".port", int64(p.Port))
		}
		out.ports = append(out.ports, target)
	}
	if o.Spec.Type == corev1.ServiceTypeExternalName {
		out.selector = nil // a name of DNS, and nothing that is here
	}
	return out, ps
}

// translateSlice translates an EndpointSlice. Endpoints that are names of DNS
// have no addresses, and a port without a number is none.
func translateSlice(o *discoveryv1.EndpointSlice) (*endpointSlice, problems) {
	var ps problems
	ps.name(o.Name)
	out := &endpointSlice{service: policy.Key{Kind: policy.KindService, Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}}
	for i := range o.Ports {
		p := &o.Ports[i]
		if p.Port == nil {
			continue
		}
		field := at("ports", i)
		port := servicePort{protocol: policy.TCP, port: ps.portNumber(field+".port", int64(*p.Port))}
		if p.Protocol != nil && *p.Protocol != "" {
			port.protocol = ps.portedProtocol(field+".protocol", string(*p.Protocol))
		}
		out.ports = append(out.ports, port)
	}
	out.ports = sortedPorts(out.ports)
	if o.AddressType == discoveryv1.AddressTypeFQDN {
		return out, ps
	}
	for i := range o.Endpoints {
		for j, text := range o.Endpoints[i].Addresses {
			a, err := parseAddr(text)
			if err != nil {
				ps.add(at(at("endpoints", i)+".addresses", j), "%v", err)
				continue
			}
			out.addrs = append(out.addrs, a)
		}
	}
	return out, ps
}

func sortedPorts(ports []servicePort) []servicePort {
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports)
}

func comparePorts(a, b servicePort) int {
	if d := int(a.protocol) - int(b.protocol); d != 0 {
		return d
	}
	return int(a.port) - int(b.port)
}

// groupByPorts sorts endpoints by their ports, of which one address may have some from
// each of several slices. The declared ports are a group even without endpoints.
func groupByPorts(of map[netip.Addr][]servicePort, declared []servicePort) []endpointGroup {
	byText := map[string]*endpointGroup{}
	add := func(ports []servicePort) *endpointGroup {
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
	var last []servicePort
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
func (s *service) endpoints() map[netip.Addr][]servicePort {
	of := map[netip.Addr][]servicePort{}
	for _, slice := range s.slices {
		for _, a := range slice.addrs {
			switch known, found := of[a]; {
			case !found || len(known) == 0:
				of[a] = slice.ports
			case !slices.Equal(known, slice.ports):
				of[a] = sortedPorts(slices.Concat(known, slice.ports))
			}
		}
	}
	return of
}

// declared returns the ports that all endpoints of the service will have, if that
// can be told before there are any: then a service whose last endpoint goes keeps
// its rules.
func (s *service) declared() []servicePort {
	if s.object == nil || len(s.object.selector) == 0 {
		return nil
	}
	var ports []servicePort
	for _, p := range s.object.ports {
		if p.name != "" {
			return nil
		}
		ports = append(ports, p.servicePort)
	}
	return sortedPorts(ports)
}

// setsOf makes the sets that rules which refer to the service select.
func (s *service) setsOf(of map[netip.Addr][]servicePort, groups []endpointGroup) []*policy.Set {
	all := slices.SortedFunc(maps.Keys(of), netip.Addr.Compare)
	sets := []*policy.Set{s.set(labelServiceAddresses, "", all)}
	for i := range groups {
		sets = append(sets, s.set(labelServicePorts, groups[i].text(), groups[i].addrs))
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
	value := serviceLabel(s.key, ports)
	return &policy.Set{Key: key, Labels: selector.Labels{{Key: label, Value: value}}, Nets: nets, Internal: true}
}

// serviceLabel returns the value of a label of a service's sets.
func serviceLabel(key policy.Key, ports string) string {
	if ports == "" {
		return key.Namespace + "/" + key.Name
	}
	return key.Namespace + "/" + key.Name + " " + ports
}

// serviceWord begins what is said of a service to a reader.
const serviceWord = "service "

// serviceEntities selects the sets of a service.
func serviceEntities(label string, key policy.Key, ports string) *policy.PeerSet {
	return &policy.PeerSet{
		Selector: selector.Equals(label, serviceLabel(key, ports)), Internal: true,
		AsWritten: serviceWord + key.Namespace + "/" + key.Name,
	}
}
