package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that policy knows by name.
const (
	ICMP    Protocol = 1
	TCP     Protocol = 6
	UDP     Protocol = 17
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
)

var protocolNames = map[Protocol]string{
	ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPv6: "ICMPv6", SCTP: "SCTP", UDPLite: "UDPLite",
}

// String returns the protocol's name as policies write it, or its number.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// Named reports whether the protocol has a name in policies.
func (p Protocol) Named() bool {
	_, named := protocolNames[p]
	return named
}

// ParseProtocol accepts a name (TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite) or a
// number from 0 to 255. Which of them a policy may name is for the policy's
// API to say.
func ParseProtocol(s string) (Protocol, error) {
	for p, name := range protocolNames {
		if name == s {
			return p, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("unknown protocol %q: expected TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 0 to 255", s)
	}
	return Protocol(n), nil
}

// HasPorts reports whether rules may match ports of the protocol.
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// IsICMP reports whether the protocol has ICMP types and codes.
func (p Protocol) IsICMP() bool { return p == ICMP || p == ICMPv6 }

// ICMPAnswer returns the ICMP type of what answers a message of a type: an echo reply an
// echo request, and all else a message of the same type. Without ICMP types it is the same.
func (p Protocol) ICMPAnswer(icmpType uint8) uint8 {
	switch {
	case p == ICMP && icmpType == 8:
		return 0
	case p == ICMPv6 && icmpType == 128:
		return 129
	}
	return icmpType
}

// PortRange is a range of ports, both ends included.
type PortRange struct {
	First, Last uint16
}

// Contains reports whether the port lies in the range.
func (r PortRange) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

// String returns "80" or "80:90", as policies write it.
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d:%d", r.First, r.Last)
}

// Ports is a rule's port criterion: a port matches if it lies in one of the
// ranges or is one that the endpoint of that side gives one of the names. Nil
// is no criterion.
type Ports struct {
	Ranges []PortRange
	Names  []string
}

// String lists numbers, then names, as policies write them.
func (p *Ports) String() string { return strings.Join(append(texts(p.Ranges), p.Names...), ", ") }

// NamedPort is a port that an endpoint gives a name.
type NamedPort struct {
	Name     string
	Protocol Protocol
	Port     uint16
}

// ICMPMatch matches ICMP types and codes; a nil field matches any.
type ICMPMatch struct {
	Type, Code *uint8
}

// Matches reports whether the type and code meet the match.
func (m ICMPMatch) Matches(icmpType, code uint8) bool {
	return (m.Type == nil || *m.Type == icmpType) && (m.Code == nil || *m.Code == code)
}

// String returns "8" for a type with all codes, or "8/0"; "*" stands for any type.
func (m ICMPMatch) String() string {
	text := "*"
	if m.Type != nil {
		text = strconv.Itoa(int(*m.Type))
	}
	if m.Code != nil {
		text += "/" + strconv.Itoa(int(*m.Code))
	}
	return text
}
