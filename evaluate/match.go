package evaluate

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// The walk asks of each rule whether it matches, and goes on. Why a rule does not is
// told by two small numbers; [connection.why] makes the reason of them, where a trace
// is wanted. So a decision without a trace allocates nothing for its reasons.

// connection is a flow with the endpoints that hold its addresses, nil for none.
type connection struct {
	policy.Flow
	index   Index
	holders [2]*policy.Endpoint // by Direction: of Src, of Dst
	traced  bool                // whether somebody will read why
}

// side is one side of a connection.
type side struct {
	addr   netip.Addr
	port   uint16
	holder *policy.Endpoint
}

// sideOf returns a side; that of the connection as a whole is its source.
func (c *connection) sideOf(s policy.Side) side {
	if s == policy.DestinationSide {
		return side{c.Dst, c.DstPort, c.holders[policy.Ingress]}
	}
	return side{c.Src, c.SrcPort, c.holders[policy.Egress]}
}

// mismatch returns the first criterion of the rule that the connection does not
// meet, with the side that it is about; 0 if the rule matches.
func (c *connection) mismatch(r *policy.Rule) (policy.Criterion, policy.Side) {
	if r.Family != policy.AnyFamily && r.Family != policy.FamilyOf(c.Src) {
		return policy.CriterionFamily, policy.NoSide
	}
	if r.Protocol != nil && c.Protocol != *r.Protocol {
		return policy.CriterionProtocol, policy.NoSide
	}
	if r.NotProtocol != nil && c.Protocol == *r.NotProtocol {
		return policy.CriterionNotProtocol, policy.NoSide
	}
	if r.ICMP != nil && !(c.Protocol.IsICMP() && r.ICMP.Matches(c.ICMPType, c.ICMPCode)) {
		return policy.CriterionICMP, policy.NoSide
	}
	if r.NotICMP != nil && c.Protocol.IsICMP() && r.NotICMP.Matches(c.ICMPType, c.ICMPCode) {
		return policy.CriterionNotICMP, policy.NoSide
	}
	if criterion := c.peerMismatch(&r.Source, policy.SourceSide); criterion != 0 {
		return criterion, policy.SourceSide
	}
	if criterion := c.peerMismatch(&r.Destination, policy.DestinationSide); criterion != 0 {
		return criterion, policy.DestinationSide
	}
	return c.httpMismatch(r.HTTP), policy.NoSide
}

// why returns the reason of a mismatch.
func (c *connection) why(r *policy.Rule, criterion policy.Criterion, of policy.Side) *policy.Mismatch {
	s := c.sideOf(of)
	m := &policy.Mismatch{Criterion: criterion, Side: of, Want: r, Got: policy.Observed{
		Protocol: c.Protocol, ICMPType: c.ICMPType, ICMPCode: c.ICMPCode, HTTP: c.HTTP, Addr: s.addr, Port: s.port,
	}}
	if s.holder != nil {
		m.Got.Endpoint = s.holder.Key
	}
	return m
}

// httpMismatch is mismatch for what a rule demands of requests, as far as there
// is one: at layers 3 and 4 the rule matches by its other criteria.
func (c *connection) httpMismatch(m *policy.HTTPMatch) policy.Criterion {
	switch {
	case m == nil || c.HTTP == nil:
		return 0
	case !m.MatchesMethod(c.HTTP.Method):
		return policy.CriterionHTTPMethods
	case !m.MatchesPath(c.HTTP.Path):
		return policy.CriterionHTTPPaths
	}
	return 0
}

func (c *connection) peerMismatch(p *policy.Peer, of policy.Side) policy.Criterion {
	s := c.sideOf(of)
	switch {
	case p.Set != nil && !c.denotes(p.Set, s):
		return policy.CriterionSelector
	case p.NotSet != nil && c.denotes(p.NotSet, s):
		return policy.CriterionNotSelector
	case p.Nets != nil && !contains(p.Nets, s.addr):
		return policy.CriterionNets
	case p.NotNets != nil && contains(p.NotNets, s.addr):
		return policy.CriterionNotNets
	case p.Ports != nil && !c.hasPort(p.Ports, s):
		return policy.CriterionPorts
	case p.NotPorts != nil && c.hasPort(p.NotPorts, s):
		return policy.CriterionNotPorts
	}
	return 0
}

// denotes reports whether the address of the side is one that the peer set
// denotes: that of a matching endpoint, or one in the nets of a matching set.
func (c *connection) denotes(e *policy.PeerSet, s side) bool {
	if s.holder != nil && e.Selector.Match(s.holder.Labels) {
		return true
	}
	return c.index.InSets(e, s.addr)
}

// hasPort reports whether the side's port is one of the ports: by number, or by
// a name that the endpoint holding the side's address gives it.
func (c *connection) hasPort(ports *policy.Ports, s side) bool {
	if !c.Protocol.HasPorts() {
		return false
	}
	for _, r := range ports.Ranges {
		if r.Contains(s.port) {
			return true
		}
	}
	if s.holder == nil {
		return false
	}
	return slices.ContainsFunc(s.holder.Ports, func(np policy.NamedPort) bool {
		return np.Protocol == c.Protocol && np.Port == s.port && slices.Contains(ports.Names, np.Name)
	})
}

func contains(nets []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(addr) })
}
