package modeltest

import (
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

var (
	hostNames      = []string{"all", "eth0", "eth0-too", "eth1"}
	hostInterfaces = []string{policy.AllInterfaces, "eth0", "eth1", ""}
)

// ModelsWithHosts draws small models with nodes, with host endpoints on them and
// policies for these.
func ModelsWithHosts() *rapid.Generator[*policy.Model] {
	return rapid.Custom(func(t *rapid.T) *policy.Model {
		m := ModelsWithNodes().Draw(t, "model")
		for _, name := range hostNames {
			if chance(t, 60, "host endpoint") {
				m.Endpoints = append(m.Endpoints, drawHost(t, name))
			}
		}
		// What the endpoints of one node say together matters most where all are there,
		// and where little else denies.
		if chance(t, 40, "one node") {
			for _, ep := range m.Endpoints {
				ep.Node = "node-a"
			}
		}
		onlyHosts := chance(t, 30, "policies of hosts only")
		var policies []*policy.Policy
		for _, p := range m.Policies {
			switch {
			case p.Key.Kind == policy.KindGlobalNetworkPolicy:
				policies = append(policies, withHostOptions(t, p))
			case !onlyHosts || p.Key.Kind == policy.KindProfile:
				policies = append(policies, p)
			}
		}
		m.Policies = policies
		m.Host.FailsafeIn = []policy.Failsafe{{Protocol: policy.TCP, Port: one(t, portEdges, "failsafe")}}
		m.Host.FailsafeOut = []policy.Failsafe{{Protocol: policy.UDP, Port: one(t, portEdges, "failsafe")}}
		m.Host.EndpointToHost = one(t, []policy.Action{0, policy.Allow, policy.Deny, policy.Pass}, "endpoint to host")
		return m
	})
}

func drawHost(t *rapid.T, name string) *policy.Endpoint {
	ep := &policy.Endpoint{
		Key:       policy.Key{Kind: policy.KindHostEndpoint, Name: name},
		Node:      one(t, []string{"node-a", "node-b"}, "node"),
		Interface: one(t, hostInterfaces, "interface"),
		Labels:    objectLabels(t, "", nil),
		Host:      &policy.Host{},
	}
	for family := range baseAddrs {
		if coin.Draw(t, "expected address") {
			ep.Addrs = append(ep.Addrs, baseAddrs[family][upTo(t, 0, endpointAddrs-1, "address")])
		}
	}
	ep.Host.Expected = ep.Addrs
	ep.Ports = some(t, 0, 2, "named ports", func() policy.NamedPort {
		return policy.NamedPort{Name: one(t, portNames, "name"), Protocol: policy.TCP, Port: one(t, portEdges, "port")}
	})
	if chance(t, 30, "profile") {
		ep.Profiles = drawProfiles(t, []string{policy.DefaultAllowProfile})
	}
	return ep
}

// withHostOptions draws a version of a policy that host endpoints know more of.
func withHostOptions(t *rapid.T, p *policy.Policy) *policy.Policy {
	v := *p
	if chance(t, 50, "all of them") {
		v.Selector = selector.All()
	}
	switch below(t, 5, "host options") {
	case 0:
		v.Host = policy.HostOptions{ApplyOnForward: true, PreDNAT: true}
		v.Types, v.Rules[policy.Egress] = [2]bool{policy.Ingress: true}, nil
	case 1:
		v.Host = policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}
	case 2, 3:
		v.Host = policy.HostOptions{ApplyOnForward: true}
	}
	return &v
}
