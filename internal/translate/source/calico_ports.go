package source

import (
	"regexp"
	"strconv"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// ports parses the ports of one side. protocol is the rule's, nil if it has none.
func (r *calicoRule) ports(field string, ports []v3.Port, protocol *policy.Protocol) *policy.Ports {
	if len(ports) == 0 {
		return nil
	}
	out := &policy.Ports{}
	for i, p := range ports {
		rng, name, problem := parseCalicoPort(string(p))
		switch {
		case problem != "":
			r.add(at(field, i), "%s", problem)
		case name != "":
			out.Names = append(out.Names, name)
		default:
			out.Ranges = append(out.Ranges, rng)
		}
	}
	switch {
	case protocol != nil && !protocol.HasPorts():
		r.lacks(r.field+".protocol", field, "need protocol: TCP, UDP or SCTP%s", butProtocol(protocol))
	case r.rule.Protocol == nil && len(out.Names) == 0:
		r.lacks(r.field+".protocol", field, "need protocol: TCP, UDP or SCTP%s", butProtocol(nil))
	case r.rule.Protocol == nil && len(out.Ranges) > 0:
		// A named port has a protocol of its own.
		r.lacks(r.field+".protocol", field, "need protocol: TCP, UDP or SCTP, but the rule has none, and only named ports go without")
	}
	return out
}

var (
	digits     = regexp.MustCompile(`^[0-9]+$`)
	portRange  = regexp.MustCompile(`^([0-9]+):([0-9]+)$`)
	dashRange  = regexp.MustCompile(`^([0-9]+)-([0-9]+)$`)
	signed     = regexp.MustCompile(`^[-+][0-9]+$`)
	calicoPort = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
)

// parseCalicoPort parses a number, a range or a name; problem says what is wrong.
func parseCalicoPort(text string) (rng policy.PortRange, name, problem string) {
	number := func(s string) uint16 {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			problem = strconv.Quote(text) + " is out of range: expected ports from 1 to 65535"
		}
		return uint16(n)
	}
	switch {
	case digits.MatchString(text):
		n := number(text)
		return policy.PortRange{First: n, Last: n}, "", problem
	case signed.MatchString(text):
		return rng, "", strconv.Quote(text) + " is out of range: expected ports from 1 to 65535"
	case portRange.MatchString(text):
		ends := portRange.FindStringSubmatch(text)
		rng = policy.PortRange{First: number(ends[1]), Last: number(ends[2])}
		if problem == "" && rng.First > rng.Last {
			problem = strconv.Quote(text) + " ends before it begins; did you mean " + strconv.Quote(ends[2]+":"+ends[1]) + "?"
		}
		return rng, "", problem
	case dashRange.MatchString(text):
		return rng, "", strconv.Quote(text) + " is no range; did you mean " + strconv.Quote(strings.Replace(text, "-", ":", 1)) + "?"
	case calicoPort.MatchString(text):
		return rng, text, ""
	}
	return rng, "", strconv.Quote(text) + ` is no port: expected a number, a range such as "8000:8080", or a port's name`
}
