package source

import (
	"github.com/tierwall/tierwall/policy"
)

// portSet collects the ports of a rule: a group for each protocol.
type portSet struct {
	groups []portGroup
}

func (s *portSet) of(protocol policy.Protocol) *policy.Ports {
	for _, g := range s.groups {
		if *g.protocol == protocol {
			return g.ports
		}
	}
	ports := &policy.Ports{}
	s.groups = append(s.groups, portGroup{&protocol, ports})
	return ports
}

func (s *portSet) addRange(protocol policy.Protocol, r policy.PortRange) {
	ports := s.of(protocol)
	ports.Ranges = append(ports.Ranges, r)
}

// addName adds a port that is given by its name, whatever its protocol.
func (s *portSet) addName(name string) {
	for _, protocol := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP} {
		ports := s.of(protocol)
		ports.Names = append(ports.Names, name)
	}
}

// portRange checks both ends of a range. Of one generation it must hold more than
// one port.
func (c *clusterPolicy) portRange(field string, start, end int32, several bool) policy.PortRange {
	before := len(c.Problems)
	r := policy.PortRange{First: c.portNumber(field+".start", int64(start)), Last: c.portNumber(field+".end", int64(end))}
	switch {
	case len(c.Problems) > before:
	case start > end:
		c.add(field, "%d to %d: the range ends before it begins", start, end)
	case start == end && several:
		c.add(field, "%d to %d is one port: write it as a number", start, end)
	}
	return r
}
