package evaluate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// connection is a flow with the endpoints that hold its addresses, nil for none.
type connection struct {
	policy.Flow
	model   *policy.Model
	holders [2]*policy.Endpoint // by Direction: of Src, of Dst
}

// side is one side of a connection, with the words that tell it apart.
type side struct {
	name   string
	addr   netip.Addr
	port   uint16
	holder *policy.Endpoint
}

// mismatch gives the first criterion of the rule that the connection does not
// meet, in words, or "" if the rule matches.
func (c *connection) mismatch(r *policy.Rule) string {
	if family := policy.FamilyOf(c.Src); r.Family != policy.AnyFamily && r.Family != family {
		return fmt.Sprintf("IPv%d is not IPv%d", family, r.Family)
	}
	if r.Protocol != nil && c.Protocol != *r.Protocol {
		return fmt.Sprintf("protocol %s is not %s", c.Protocol, *r.Protocol)
	}
	if r.NotProtocol != nil && c.Protocol == *r.NotProtocol {
		return fmt.Sprintf("protocol %s is excluded", c.Protocol)
	}
	if r.ICMP != nil && !(c.Protocol.IsICMP() && r.ICMP.Matches(c.ICMPType, c.ICMPCode)) {
		return fmt.Sprintf("ICMP type %d code %d is not the rule's", c.ICMPType, c.ICMPCode)
	}
	if r.NotICMP != nil && c.Protocol.IsICMP() && r.NotICMP.Matches(c.ICMPType, c.ICMPCode) {
		return fmt.Sprintf("ICMP type %d code %d is excluded", c.ICMPType, c.ICMPCode)
	}
	src := side{"source", c.Src, c.SrcPort, c.holders[policy.Egress]}
	if why := c.peerMismatch(&r.Source, src); why != "" {
		return why
	}
	dst := side{"destination", c.Dst, c.DstPort, c.holders[policy.Ingress]}
	return c.peerMismatch(&r.Destination, dst)
}

func (c *connection) peerMismatch(p *policy.Peer, s side) string {
	if p.Entities != nil && !c.denotes(p.Entities, s) {
		return fmt.Sprintf("%s %s is not in %s", s.name, s.label(), p.Entities)
	}
	if p.NotEntities != nil && c.denotes(p.NotEntities, s) {
		return fmt.Sprintf("%s %s is excluded by %s", s.name, s.label(), p.NotEntities)
	}
	if p.Nets != nil && !contains(p.Nets, s.addr) {
		return fmt.Sprintf("%s %s is not in %s", s.name, s.label(), join(p.Nets))
	}
	if p.NotNets != nil && contains(p.NotNets, s.addr) {
		return fmt.Sprintf("%s %s is excluded by %s", s.name, s.label(), join(p.NotNets))
	}
	if p.Ports != nil && !c.hasPort(p.Ports, s) {
		if !c.Protocol.HasPorts() {
			return fmt.Sprintf("protocol %s has no %s port", c.Protocol, s.name)
		}
		return fmt.Sprintf("%s port %d is not in %s", s.name, s.port, p.Ports)
	}
	if p.NotPorts != nil && c.hasPort(p.NotPorts, s) {
		return fmt.Sprintf("%s port %d is excluded by %s", s.name, s.port, p.NotPorts)
	}
	return ""
}

// denotes reports whether the address of the side is one that the entities
// denote: that of a matching endpoint, or one in the nets of a matching set.
func (c *connection) denotes(e *policy.Entities, s side) bool {
	if s.holder != nil && e.Selector.Match(s.holder.Labels) {
		return true
	}
	if e.EndpointsOnly {
		return false
	}
	return slices.ContainsFunc(c.model.Sets, func(set *policy.Set) bool {
		return e.Selector.Match(set.Labels) && contains(set.Nets, s.addr)
	})
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

// label names the side for a reader: its endpoint, or else its address.
func (s side) label() string {
	if s.holder != nil {
		return s.holder.Key.String()
	}
	return s.addr.String()
}

// join lists nets for a reader, who is not helped by very many.
func join(nets []netip.Prefix) string {
	const most = 5
	words := make([]string, 0, most+1)
	for i, n := range nets {
		if i == most {
			words = append(words, fmt.Sprintf("… (%d in all)", len(nets)))
			break
		}
		words = append(words, n.String())
	}
	return strings.Join(words, ", ")
}
