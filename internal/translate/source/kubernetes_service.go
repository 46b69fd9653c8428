package source

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/tierwall/tierwall/policy"
)

// translateService translates a service.
func translateService(o *corev1.Service) (*Service, Problems) {
	var ps Problems
	ps.shortName("metadata.name", o.Name, "service")
	out := &Service{Selector: o.Spec.Selector}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		field := at("spec.ports", i)
		target := TargetPort{ServicePort: ServicePort{Protocol: policy.TCP}, Name: p.TargetPort.StrVal}
		if p.Protocol != "" {
			target.Protocol = ps.portedProtocol(field+".protocol", string(p.Protocol))
		}
		switch {
		case target.Name != "":
		case p.TargetPort.IntVal != 0:
			target.Port = ps.portNumber(field+".targetPort", int64(p.TargetPort.IntVal))
		default:
			target.Port = ps.portNumber(field+".port", int64(p.Port))
		}
		out.Ports = append(out.Ports, target)
	}
	if o.Spec.Type == corev1.ServiceTypeExternalName {
		out.Selector = nil // a name of DNS, and nothing that is here
	}
	return out, ps
}

// translateSlice translates an EndpointSlice. Endpoints that are names of DNS
// have no addresses, and a port without a number is none.
func translateSlice(o *discoveryv1.EndpointSlice) (*EndpointSlice, Problems) {
	var ps Problems
	ps.name(o.Name)
	out := &EndpointSlice{Service: policy.Key{Kind: policy.KindService, Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}}
	for i := range o.Ports {
		p := &o.Ports[i]
		if p.Port == nil {
			continue
		}
		field := at("ports", i)
		port := ServicePort{Protocol: policy.TCP, Port: ps.portNumber(field+".port", int64(*p.Port))}
		if p.Protocol != nil && *p.Protocol != "" {
			port.Protocol = ps.portedProtocol(field+".protocol", string(*p.Protocol))
		}
		out.Ports = append(out.Ports, port)
	}
	out.Ports = SortPorts(out.Ports)
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
			out.Addrs = append(out.Addrs, a)
		}
	}
	return out, ps
}
