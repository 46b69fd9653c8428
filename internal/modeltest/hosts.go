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

// drawUntrackedRule draws a rule that lets much by: a connection that is not tracked gets
// through only if a rule of each direction matches.
func drawUntrackedRule(t *rapid.T) policy.Rule {
	r := policy.Rule{Action: one(t, []policy.Action{policy.Allow, policy.Allow, policy.Allow, policy.Deny}, "action")}
	if chance(t, 70, "has protocol") {
		r.Protocol = ref(one(t, []policy.Protocol{policy.UDP, policy.TCP, policy.SCTP, policy.ICMP, policy.ICMPv6, 47}, "protocol"))
	}
	for _, side := range [2]*policy.Peer{&r.Source, &r.Destination} {
		switch below(t, 6, "side") {
		case 0:
			*side = drawPeer(t, true, 60)
		case 1, 2:
			side.Ports = drawPorts(t)
		}
	}
	if r.Protocol != nil && r.Protocol.IsICMP() && coin.Draw(t, "has ICMP") {
		r.ICMP = drawICMP(t)
	}
	if r.Action == policy.Allow && chance(t, 10, "http") {
		r.HTTP = drawHTTP(t)
	}
	return r
}

// withHostOptions draws a version of a policy that host endpoints know more of.
func withHostOptions(t *rapid.T, p *policy.Policy) *policy.Policy {
	v := *p
	if chance(t, 50, "all of them") {
		v.Selector = selector.All()
	}
	switch below(t, 6, "host options") {
	case 0:
		v.Host = policy.HostOptions{ApplyOnForward: true, PreDNAT: true}
		v.Types, v.Rules[policy.Egress] = [2]bool{policy.Ingress: true}, nil
	case 1, 4:
		v.Host = policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}
		if chance(t, 60, "answers") {
			v.Types = [2]bool{true, true}
			for dir := range v.Rules {
				v.Rules[dir] = some(t, 1, 3, "rules", func() policy.Rule { return drawUntrackedRule(t) })
			}
		}
	case 2, 3:
		v.Host = policy.HostOptions{ApplyOnForward: true}
	}
	return &v
}
