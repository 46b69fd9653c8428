package modeltest

import (
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

// drawRule draws a rule, nearly always one as validation lets it through: ports
// only with a protocol that has them, ICMP types only with one that has those.
func drawRule(t *rapid.T) policy.Rule {
	r := policy.Rule{Action: one(t, []policy.Action{policy.Allow, policy.Allow, policy.Deny, policy.Pass, policy.Log}, "action")}
	r.Family = one(t, []policy.Family{policy.AnyFamily, policy.AnyFamily, policy.AnyFamily, policy.AnyFamily, policy.IPv4, policy.IPv6}, "family")
	switch below(t, 6, "layer 4") {
	case 1, 2, 3:
		r.Protocol = ref(one(t, protocols, "protocol"))
	case 4:
		r.NotProtocol = ref(one(t, protocols, "not protocol"))
	case 5:
		r.Protocol = ref(policy.TCP)
		if chance(t, 10, "both") {
			r.NotProtocol = ref(one(t, protocols, "not protocol"))
		}
	}
	loose := chance(t, 4, "loose")
	if loose || r.Protocol != nil && r.Protocol.IsICMP() {
		if coin.Draw(t, "has ICMP") {
			r.ICMP = drawICMP(t)
		}
		if chance(t, 30, "has not ICMP") {
			r.NotICMP = drawICMP(t)
		}
	}
	hasPorts := loose || r.Protocol != nil && r.Protocol.HasPorts()
	r.Source = drawPeer(t, hasPorts, 25)
	r.Destination = drawPeer(t, hasPorts, 60)
	if r.Action == policy.Allow && (r.Protocol == nil || *r.Protocol == policy.TCP) && chance(t, 20, "http") {
		r.HTTP = drawHTTP(t)
	}
	return r
}

func drawICMP(t *rapid.T) *policy.ICMPMatch {
	m := &policy.ICMPMatch{}
	if coin.Draw(t, "type") {
		m.Type = ref(one(t, icmpEdges, "type"))
		if coin.Draw(t, "code") {
			m.Code = ref(one(t, icmpEdges, "code"))
		}
	}
	return m
}

// drawPeer draws a peer; ports have the chance given, in percent, if it may have them.
func drawPeer(t *rapid.T, hasPorts bool, percent int) policy.Peer {
	var p policy.Peer
	if coin.Draw(t, "constrains address") {
		if coin.Draw(t, "peer set") {
			p.Set = drawPeerSet(t)
		}
		if chance(t, 20, "not peer set") {
			p.NotSet = drawPeerSet(t)
		}
		if chance(t, 30, "nets") {
			p.Nets = orEmpty(netsOf(t, 0, 3))
		}
		if chance(t, 20, "not nets") {
			p.NotNets = orEmpty(netsOf(t, 0, 2))
		}
	}
	if hasPorts && chance(t, percent, "ports") {
		p.Ports = drawPorts(t)
	}
	if hasPorts && chance(t, percent/3, "not ports") {
		p.NotPorts = drawPorts(t)
	}
	return p
}

func drawPeerSet(t *rapid.T) *policy.PeerSet {
	return &policy.PeerSet{
		Selector:      drawSelector(t),
		EndpointsOnly: chance(t, 30, "endpoints only"),
		DNSLearned:    chance(t, 30, "learned"),
		Internal:      chance(t, 20, "internal"),
		AsWritten:     one(t, []policy.WrittenPeer{nil, nil, nil, policy.NodesPeer{Labels: "a reader's text"}}, "text"),
	}
}

func drawPorts(t *rapid.T) *policy.Ports {
	p := &policy.Ports{}
	p.Ranges = some(t, 0, 2, "ranges", func() policy.PortRange {
		a, b := one(t, portEdges, "first"), one(t, portEdges, "last")
		if coin.Draw(t, "single") {
			b = a
		}
		return policy.PortRange{First: min(a, b), Last: max(a, b)}
	})
	if chance(t, 40, "names") {
		p.Names = some(t, 1, 2, "names", func() string { return one(t, append(slices.Clone(portNames), "unknown"), "name") })
	}
	return p
}

// orEmpty makes nil an empty list, which matches no address, where nil is no criterion.
func orEmpty(nets []netip.Prefix) []netip.Prefix {
	if nets == nil {
		return []netip.Prefix{}
	}
	return nets
}

func ref[T any](v T) *T { return &v }

func holds(ep *policy.Endpoint, addr netip.Addr) bool { return slices.Contains(ep.Addrs, addr) }
