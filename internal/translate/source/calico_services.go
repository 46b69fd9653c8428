package source

import (
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// service translates the service of one side of a rule; nil if there is none. As
// a source it is done with that: the addresses are those of a set. As a
// destination it is a template, of which there will be a rule for each set of
// ports that the service's endpoints have: see expand.
func (r *calicoRule) service(field, side string, in *v3.EntityRule, protocol *policy.Protocol) *policy.PeerSet {
	s := in.Services
	if s == nil {
		return nil
	}
	at := field + ".services"
	if want := map[policy.Direction]string{policy.Ingress: "source", policy.Egress: "destination"}[r.dir]; side != want {
		r.add(at, "services are for the %s of %s rules: remove them", want, r.dir)
		return nil
	}
	key := policy.Key{Kind: policy.KindService, Namespace: s.Namespace, Name: s.Name}
	switch {
	case s.Name == "":
		r.lacks(at+".name", at, "needs the name of a service")
	case !isDNSLabel(s.Name):
		r.add(at+".name", "%q is no name of a service: expected lower case letters, digits and '-', at most 63", s.Name)
	}
	switch {
	case s.Namespace == "" && r.key.Namespace == "":
		r.lacks(at+".namespace", at, "needs a namespace: a global policy is in none, so the name alone says too little")
	case s.Namespace == "":
		key.Namespace = r.key.Namespace
	case !isDNSLabel(s.Namespace):
		r.add(at+".namespace", "%q is no name of a namespace: expected lower case letters, digits and '-', at most 63", s.Namespace)
	}
	r.standsAlone(field, side, in)
	if side == "source" {
		return ServicePeerSet(LabelServiceAddresses, key, "")
	}
	if protocol != nil && !protocol.HasPorts() {
		r.add(at, "the ports of a service are of TCP, UDP or SCTP, but the rule's protocol is %s, so that it would match nothing: remove the protocol, or name one of these", protocol)
	}
	return ServicePeerSet(LabelServicePorts, key, "")
}

// standsAlone checks that a side says nothing beside its service that would be
// asked of the same address. A service as a destination has ports of its own.
func (r *calicoRule) standsAlone(field, side string, in *v3.EntityRule) {
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"nets", len(in.Nets) > 0},
		{"notNets", len(in.NotNets) > 0},
		{"selector", !blank(in.Selector)},
		{"notSelector", !blank(in.NotSelector)},
		{"namespaceSelector", !blank(in.NamespaceSelector)},
		{"serviceAccounts", in.ServiceAccounts != nil},
		{"ports", side == "destination" && len(in.Ports) > 0},
		{"notPorts", side == "destination" && len(in.NotPorts) > 0},
	} {
		if !other.set {
			continue
		}
		why := ": write a rule for each"
		if other.name == "ports" || other.name == "notPorts" {
			why = ": the ports are those of the service's endpoints"
		}
		r.add(field+"."+other.name, "cannot stand beside services%s", why)
	}
}
