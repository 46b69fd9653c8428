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
	index   Index
	holders [2]*policy.Endpoint // by Direction: of Src, of Dst
	words   bool                // somebody will read why
}

// side is one side of a connection, with the words that tell it apart.
type side struct {
	name   string
	addr   netip.Addr
	port   uint16
	holder *policy.Endpoint
}

// mismatch returns the first criterion of the rule that the connection does not
// meet, in words, or "" if the rule matches.
func (c *connection) mismatch(r *policy.Rule) string {
	if family := policy.FamilyOf(c.Src); r.Family != policy.AnyFamily && r.Family != family {
		return say2(c, "IPv%d is not IPv%d", family, r.Family)
	}
	if r.Protocol != nil && c.Protocol != *r.Protocol {
		return say2(c, "protocol %s is not %s", c.Protocol, *r.Protocol)
	}
	if r.NotProtocol != nil && c.Protocol == *r.NotProtocol {
		return say2(c, "protocol %s is %s", c.Protocol, "excluded")
	}
	if r.ICMP != nil && !(c.Protocol.IsICMP() && r.ICMP.Matches(c.ICMPType, c.ICMPCode)) {
		return say2(c, "ICMP type %d code %d is not the rule's", c.ICMPType, c.ICMPCode)
	}
	if r.NotICMP != nil && c.Protocol.IsICMP() && r.NotICMP.Matches(c.ICMPType, c.ICMPCode) {
		return say2(c, "ICMP type %d code %d is excluded", c.ICMPType, c.ICMPCode)
	}
	src := side{"source", c.Src, c.SrcPort, c.holders[policy.Egress]}
	if why := c.peerMismatch(&r.Source, src); why != "" {
		return why
	}
	dst := side{"destination", c.Dst, c.DstPort, c.holders[policy.Ingress]}
	if why := c.peerMismatch(&r.Destination, dst); why != "" {
		return why
	}
	return c.httpMismatch(r.HTTP)
}

// noMatch stands for a sentence that nobody reads.
const noMatch = "no match"

// say2 and say3 give a sentence of two or three things. They are not one function
// of any number: where nobody reads it, a sentence must not cost a thing.
func say2[A, B any](c *connection, format string, a A, b B) string {
	if !c.words {
		return noMatch
	}
	return fmt.Sprintf(format, a, b)
}

func say3[A, B, C any](c *connection, format string, x A, y B, z C) string {
	if !c.words {
		return noMatch
	}
	return fmt.Sprintf(format, x, y, z)
}

// httpMismatch is mismatch for what a rule demands of requests, as far as there
// is one: at layers 3 and 4 the rule matches by its other criteria.
func (c *connection) httpMismatch(m *policy.HTTPMatch) string {
	switch {
	case m == nil || c.HTTP == nil:
		return ""
	case !m.MatchesMethod(c.HTTP.Method):
		return say2(c, "HTTP method %s is not %s", c.HTTP.Method, methodList(m.Methods))
	case len(m.Paths) > 0 && c.HTTP.Path == "":
		return "the HTTP path can be read in several ways"
	case !m.MatchesPath(c.HTTP.Path):
		return say2(c, "HTTP path %s is not %s", c.HTTP.Path, pathList{m})
	}
	return ""
}

func (c *connection) peerMismatch(p *policy.Peer, s side) string {
	if p.Set != nil && !c.denotes(p.Set, s) {
		return say3(c, "%s %s is not in %s", s.name, s, p.Set)
	}
	if p.NotSet != nil && c.denotes(p.NotSet, s) {
		return say3(c, "%s %s is excluded by %s", s.name, s, p.NotSet)
	}
	if p.Nets != nil && !contains(p.Nets, s.addr) {
		return say3(c, "%s %s is not in %s", s.name, s, netList(p.Nets))
	}
	if p.NotNets != nil && contains(p.NotNets, s.addr) {
		return say3(c, "%s %s is excluded by %s", s.name, s, netList(p.NotNets))
	}
	if p.Ports != nil && !c.hasPort(p.Ports, s) {
		if !c.Protocol.HasPorts() {
			return say2(c, "protocol %s has no %s port", c.Protocol, s.name)
		}
		return say3(c, "%s port %d is not in %s", s.name, s.port, p.Ports)
	}
	if p.NotPorts != nil && c.hasPort(p.NotPorts, s) {
		return say3(c, "%s port %d is excluded by %s", s.name, s.port, p.NotPorts)
	}
	return ""
}

// methodList and pathList are lists for a reader.
type methodList []string

// String lists methods.
func (l methodList) String() string { return strings.Join(l, ", ") }

type pathList struct{ *policy.HTTPMatch }

// String lists paths.
func (l pathList) String() string { return l.PathsText() }

// denotes reports whether the address of the side is one that the entities
// denote: that of a matching endpoint, or one in the nets of a matching set.
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

// String names the side for a reader: its endpoint, or else its address.
func (s side) String() string {
	if s.holder != nil {
		return s.holder.Key.String()
	}
	return s.addr.String()
}

// netList lists nets for a reader, who is not helped by very many.
type netList []netip.Prefix

// String lists the first few.
func (nets netList) String() string {
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
