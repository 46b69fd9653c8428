package ends

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// isServiceWord reports whether a word of an end says that it is a service.
func isServiceWord(word string) bool {
	switch strings.ToLower(word) {
	case "svc", "service", "services":
		return true
	}
	return false
}

// SplitService returns the namespace and the name of a service that is written as svc/NAME,
// svc/NAMESPACE/NAME or NAMESPACE/svc/NAME; false if the text means something else.
func (r Resolver) SplitService(text string) (namespace, name string, ok bool) {
	parts := strings.Split(text, "/")
	switch {
	case len(parts) == 2 && isServiceWord(parts[0]) && !slices.Contains(input.Namespaces(r.Model), parts[0]):
		return r.namespace, parts[1], true
	case len(parts) == 3 && isServiceWord(parts[1]):
		return parts[0], parts[2], true
	case len(parts) == 3 && isServiceWord(parts[0]):
		return parts[1], parts[2], true
	}
	return "", "", false
}

// IsService reports whether a text looks like a service, whatever the manifests hold.
func IsService(text string) bool {
	_, _, ok := Resolver{Model: &policy.Model{}}.SplitService(text)
	return ok
}

// Service returns what is behind a port of a service, which is what policy judges, and the
// port there. The first endpoint stands for all. An empty port is the only one that the
// service has.
func (r Resolver) Service(namespace, name, port string, protocol policy.Protocol) (End, uint16, error) {
	svc, err := r.findService(namespace, name)
	if err != nil {
		return End{}, 0, err
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return End{}, 0, fmt.Errorf("it stands for a name of DNS, %s: ask about that one, with --resolve", svc.Spec.ExternalName)
	}
	of, err := servicePort(svc, port, protocol)
	if err != nil {
		return End{}, 0, err
	}
	backends := r.backends(svc, of)
	if len(backends) == 0 {
		return End{}, 0, fmt.Errorf("nothing is behind its port %d: %s", of.Port, lacksBackends(svc))
	}
	e, err := r.endAt(backends[0].addr)
	if err != nil {
		return End{}, 0, err
	}
	for _, b := range backends[1:] {
		if other, err := r.endAt(b.addr); err == nil && other.Endpoint != nil && other.Endpoint != e.Endpoint {
			e.OtherPods = append(e.OtherPods, other.Endpoint)
		}
	}
	e.Workload = fmt.Sprintf("Service %s/%s port %d", svc.Namespace, svc.Name, of.Port)
	if e.Endpoint != nil {
		e.Addrs = e.Endpoint.Addrs
	}
	return e, backends[0].port, nil
}

// findService returns a service of the manifests.
func (r Resolver) findService(namespace, name string) (*corev1.Service, error) {
	var known, same []string
	for i := range r.resources {
		svc, ok := r.resources[i].Object.(*corev1.Service)
		if !ok {
			continue
		}
		full := "svc/" + svc.Namespace + "/" + svc.Name
		if svc.Namespace == namespace && svc.Name == name {
			return svc, nil
		}
		known = append(known, full)
		if svc.Name == name {
			same = append(same, full)
		}
	}
	if namespace == "" {
		return nil, fmt.Errorf("a service needs its namespace (svc/NAMESPACE/NAME, or -n)%s", OfferFew(same))
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%s no Services", r.Source)
	}
	return nil, fmt.Errorf("no such Service%s", FirstHint(OfferFew(same), suggest.Several("svc/"+namespace+"/"+name, known)))
}

// servicePort finds a port by its number or name.
func servicePort(svc *corev1.Service, port string, protocol policy.Protocol) (*corev1.ServicePort, error) {
	var has []string
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		of, err := policy.ParseProtocol(string(p.Protocol))
		if p.Protocol == "" {
			of, err = policy.TCP, nil
		}
		text := fmt.Sprintf("%s %d", of, p.Port)
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		has = append(has, text)
		isOnly := port == "" && len(svc.Spec.Ports) == 1
		if err == nil && of == protocol && (isOnly || port == strconv.Itoa(int(p.Port)) || port != "" && port == p.Name) {
			return p, nil
		}
	}
	if port == "" {
		return nil, fmt.Errorf("it has several ports, say which one: %s", strings.Join(has, ", "))
	}
	return nil, fmt.Errorf("it has no %s port %s: it has %s", protocol, port, strings.Join(has, ", "))
}

// backend is an address behind a port of a service, and the port there.
type backend struct {
	addr netip.Addr
	port uint16
}

// backends returns the endpoints of the service's slices, or where there are none of it those
// that it selects, sorted.
func (r Resolver) backends(svc *corev1.Service, port *corev1.ServicePort) []backend {
	var out []backend
	hasSlices := false
	for i := range r.resources {
		slice, ok := r.resources[i].Object.(*discoveryv1.EndpointSlice)
		if !ok || slice.Namespace != svc.Namespace || slice.Labels[discoveryv1.LabelServiceName] != svc.Name {
			continue
		}
		hasSlices = true
		out = append(out, ofSlice(slice, port)...)
	}
	if !hasSlices && len(svc.Spec.Selector) > 0 {
		for _, ep := range r.Model.Endpoints {
			if n := targetPort(port, ep); n != 0 && len(ep.Addrs) > 0 && selects(svc, ep) {
				out = append(out, backend{ep.Addrs[0], n})
			}
		}
	}
	slices.SortFunc(out, func(a, b backend) int { return a.addr.Compare(b.addr) })
	return out
}

// ofSlice returns the endpoints that a slice has for a port of its service. What is read from
// a cluster has no names of ports: there one that has the number that the service says is meant,
// or the only one.
func ofSlice(slice *discoveryv1.EndpointSlice, port *corev1.ServicePort) []backend {
	var out []backend
	for _, p := range slice.Ports {
		isMeant := p.Name != nil && *p.Name == port.Name || len(slice.Ports) == 1 && p.Name == nil
		if p.Name == nil && p.Port != nil && port.TargetPort.IntVal != 0 {
			isMeant = *p.Port == port.TargetPort.IntVal
		}
		if p.Port == nil || !isMeant {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, text := range e.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					out = append(out, backend{a.Unmap(), uint16(*p.Port)})
				}
			}
		}
	}
	return out
}

// selects reports whether an endpoint is behind a service, by its labels.
func selects(svc *corev1.Service, ep *policy.Endpoint) bool {
	if ep.Key.Namespace != svc.Namespace || !source.IsPod().Match(ep.Labels) {
		return false
	}
	for k, v := range svc.Spec.Selector {
		if got, found := ep.Labels.Get(source.OwnKey(k)); !found || got != v {
			return false
		}
	}
	return true
}

// targetPort returns the number of a service's port at an endpoint; 0 if that has none.
func targetPort(p *corev1.ServicePort, ep *policy.Endpoint) uint16 {
	if name := p.TargetPort.StrVal; name != "" {
		for _, np := range ep.Ports {
			if np.Name == name && (np.Protocol.String() == string(p.Protocol) || p.Protocol == "" && np.Protocol == policy.TCP) {
				return np.Port
			}
		}
		return 0
	}
	if n := p.TargetPort.IntVal; n != 0 {
		return uint16(n)
	}
	return uint16(p.Port)
}

func lacksBackends(svc *corev1.Service) string {
	if len(svc.Spec.Selector) == 0 {
		return "it has no selector, and there is no EndpointSlice of it"
	}
	return "no pod that it selects is here, with such a port"
}
