package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Mismatch is why a rule does not match a connection: the first of its criteria
// that the connection does not meet.
type Mismatch struct {
	Criterion Criterion
	Side      Side // for criteria of the rule's Source or Destination
	Got       Observed
	Want      *Rule // whose field of the criterion says what would match
}

// Observed is what a rule looks at in a connection. Address, port and endpoint are
// those of one side.
type Observed struct {
	Protocol           Protocol
	ICMPType, ICMPCode uint8
	HTTP               *HTTPRequest
	Addr               netip.Addr
	Port               uint16
	Endpoint           Key // that has the address; zero if none has
}

// Side is one side of a connection.
type Side uint8

// The sides. NoSide stands for what is true of the connection as a whole.
const (
	NoSide Side = iota
	SourceSide
	DestinationSide
)

// String returns "source", "destination", or "".
func (s Side) String() string {
	switch s {
	case SourceSide:
		return "source"
	case DestinationSide:
		return "destination"
	}
	return ""
}

// Criterion is a kind of condition that rules have.
type Criterion uint8

// The criteria, in the order in which a rule's are checked. 0 is none.
const (
	CriterionFamily Criterion = iota + 1
	CriterionProtocol
	CriterionNotProtocol
	CriterionICMP
	CriterionNotICMP
	CriterionSelector // Peer.Set
	CriterionNotSelector
	CriterionNets
	CriterionNotNets
	CriterionPorts
	CriterionNotPorts
	CriterionHTTPMethods
	CriterionHTTPPaths
)

var criterionNames = map[Criterion]string{
	CriterionFamily: "family", CriterionProtocol: "protocol", CriterionNotProtocol: "notProtocol", CriterionICMP: "icmp", CriterionNotICMP: "notICMP",
	CriterionSelector: "selector", CriterionNotSelector: "notSelector", CriterionNets: "nets", CriterionNotNets: "notNets",
	CriterionPorts: "ports", CriterionNotPorts: "notPorts", CriterionHTTPMethods: "httpMethods", CriterionHTTPPaths: "httpPaths",
}

// String returns the criterion as fields of rules are named: "notNets".
func (c Criterion) String() string { return criterionNames[c] }

// Peer returns the side of the rule that the criterion is of; nil for NoSide.
func (m *Mismatch) Peer() *Peer {
	switch m.Side {
	case SourceSide:
		return &m.Want.Source
	case DestinationSide:
		return &m.Want.Destination
	}
	return nil
}

// GotText returns what the connection has where the criterion looks: "TCP", "8080",
// "10.0.0.1". It is the protocol where ports are wanted and it has none, and empty for
// an HTTP path that can be read in several ways.
func (m *Mismatch) GotText() string {
	g := &m.Got
	switch m.Criterion {
	case CriterionFamily:
		return FamilyOf(g.Addr).String()
	case CriterionProtocol, CriterionNotProtocol:
		return g.Protocol.String()
	case CriterionICMP, CriterionNotICMP:
		return fmt.Sprintf("%d/%d", g.ICMPType, g.ICMPCode)
	case CriterionSelector, CriterionNotSelector:
		return g.who()
	case CriterionNets, CriterionNotNets:
		return g.Addr.String()
	case CriterionPorts, CriterionNotPorts:
		if !g.Protocol.HasPorts() {
			return g.Protocol.String()
		}
		return strconv.Itoa(int(g.Port))
	case CriterionHTTPMethods:
		return g.HTTP.Method
	case CriterionHTTPPaths:
		return g.HTTP.Path
	}
	return ""
}

// WantTexts returns what the criterion lists, each item as policies write it.
func (m *Mismatch) WantTexts() []string {
	r, p := m.Want, m.Peer()
	switch m.Criterion {
	case CriterionFamily:
		return []string{r.Family.String()}
	case CriterionProtocol:
		return []string{r.Protocol.String()}
	case CriterionNotProtocol:
		return []string{r.NotProtocol.String()}
	case CriterionICMP:
		return []string{r.ICMP.String()}
	case CriterionNotICMP:
		return []string{r.NotICMP.String()}
	case CriterionSelector:
		return []string{p.Set.String()}
	case CriterionNotSelector:
		return []string{p.NotSet.String()}
	case CriterionNets:
		return texts(p.Nets)
	case CriterionNotNets:
		return texts(p.NotNets)
	case CriterionPorts:
		return append(texts(p.Ports.Ranges), p.Ports.Names...)
	case CriterionNotPorts:
		return append(texts(p.NotPorts.Ranges), p.NotPorts.Names...)
	case CriterionHTTPMethods:
		return r.HTTP.Methods
	case CriterionHTTPPaths:
		return texts(r.HTTP.Paths)
	}
	return nil
}

// String returns the mismatch as a sentence: "source shop/Pod/web is not in
// 10.0.0.0/8".
func (m *Mismatch) String() string {
	g := &m.Got
	switch m.Criterion {
	case CriterionFamily:
		return fmt.Sprintf("%s is not %s", m.GotText(), m.wanted())
	case CriterionProtocol:
		return fmt.Sprintf("protocol %s is not %s", g.Protocol, m.wanted())
	case CriterionNotProtocol:
		return fmt.Sprintf("protocol %s is excluded", g.Protocol)
	case CriterionICMP:
		return fmt.Sprintf("ICMP type %d code %d is not the rule's", g.ICMPType, g.ICMPCode)
	case CriterionNotICMP:
		return fmt.Sprintf("ICMP type %d code %d is excluded", g.ICMPType, g.ICMPCode)
	case CriterionSelector, CriterionNets:
		return fmt.Sprintf("%s %s is not in %s", m.Side, g.who(), m.wanted())
	case CriterionNotSelector, CriterionNotNets:
		return fmt.Sprintf("%s %s is excluded by %s", m.Side, g.who(), m.wanted())
	case CriterionPorts:
		if !g.Protocol.HasPorts() {
			return fmt.Sprintf("protocol %s has no %s port", g.Protocol, m.Side)
		}
		return fmt.Sprintf("%s port %d is not in %s", m.Side, g.Port, m.wanted())
	case CriterionNotPorts:
		return fmt.Sprintf("%s port %d is excluded by %s", m.Side, g.Port, m.wanted())
	case CriterionHTTPMethods:
		return fmt.Sprintf("HTTP method %s is not %s", g.HTTP.Method, m.wanted())
	case CriterionHTTPPaths:
		if g.HTTP.Path == "" {
			return "the HTTP path can be read in several ways"
		}
		return fmt.Sprintf("HTTP path %s is not %s", g.HTTP.Path, m.wanted())
	}
	return ""
}

// who names a side: its endpoint, or else its address.
func (o *Observed) who() string {
	if o.Endpoint != (Key{}) {
		return o.Endpoint.String()
	}
	return o.Addr.String()
}

// wanted lists what the criterion wants for a reader, who is not helped by very many
// nets.
func (m *Mismatch) wanted() string {
	const most = 5
	list := m.WantTexts()
	if n := len(list); n > most && (m.Criterion == CriterionNets || m.Criterion == CriterionNotNets) {
		list = append(list[:most], fmt.Sprintf("… (%d in all)", n))
	}
	return strings.Join(list, ", ")
}

// texts returns things as they print themselves.
func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = x.String()
	}
	return out
}
