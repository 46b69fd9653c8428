package translate

import (
	"regexp"
	"strconv"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// calicoRule is one rule on its way into the model.
type calicoRule struct {
	*calicoPolicy
	field string
	rule  *v3.Rule
	dir   policy.Direction
	// netFamily is the family of the CIDRs seen so far, and netField where the
	// first one stands.
	netFamily policy.Family
	netField  string
}

func (r *calicoRule) translate(index int) policy.Rule {
	out := policy.Rule{Index: index, Action: r.action()}
	if v := r.rule.IPVersion; v != nil {
		if *v != 4 && *v != 6 {
			r.add(r.field+".ipVersion", "%d is no IP version: expected 4 or 6", *v)
		} else {
			out.Family = policy.Family(*v)
		}
	}
	out.Protocol = r.protocol("protocol", r.rule.Protocol, out.Family)
	out.NotProtocol = r.protocol("notProtocol", r.rule.NotProtocol, out.Family)
	out.ICMP = r.icmp("icmp", r.rule.ICMP, out.Protocol)
	out.NotICMP = r.icmp("notICMP", r.rule.NotICMP, out.Protocol)
	out.HTTP = r.http(out.Protocol)
	out.Source = r.peer("source", &r.rule.Source, out.Protocol)
	out.Destination = r.peer("destination", &r.rule.Destination, out.Protocol)
	r.checkFamilies(out.Family)
	if m := r.rule.Metadata; m != nil {
		r.annotations(r.field+".metadata.annotations", m.Annotations)
	}
	if out.Family == policy.AnyFamily && (out.Source.NotNets != nil || out.Destination.NotNets != nil) {
		// CIDRs of one family make the rule one of that family, those that
		// exclude as well: every address of the other family would pass them.
		out.Family = r.netFamily
	}
	return out
}

var calicoActions = map[v3.Action]policy.Action{
	v3.Allow: policy.Allow, v3.Deny: policy.Deny, v3.Log: policy.Log, v3.Pass: policy.Pass,
}

func (r *calicoRule) action() policy.Action {
	r.word(r.field+".action", string(r.rule.Action), string(v3.Allow), string(v3.Deny), string(v3.Log), string(v3.Pass))
	return calicoActions[r.rule.Action]
}

var protocolNames = []string{"TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite"}

// protocol parses a protocol and holds it against the rule's IP version.
func (r *calicoRule) protocol(name string, text *v3.Protocol, family policy.Family) *policy.Protocol {
	if text == nil {
		return nil
	}
	field := r.field + "." + name
	p, err := policy.ParseProtocol(string(*text))
	if err != nil || p == 0 {
		r.add(field, "%q is no protocol: expected %s, or a number from 1 to 255%s",
			string(*text), suggest.OrList(protocolNames), suggest.DidYouMean(string(*text), protocolNames))
		return nil
	}
	if p == policy.ICMP && family == policy.IPv6 {
		r.add(field, "ICMP is a protocol of IPv4, but ipVersion is 6: expected ICMPv6")
	}
	if p == policy.ICMPv6 && family == policy.IPv4 {
		r.add(field, "ICMPv6 is a protocol of IPv6, but ipVersion is 4: expected ICMP")
	}
	return &p
}

func (r *calicoRule) icmp(name string, in *v3.ICMPFields, protocol *policy.Protocol) *policy.ICMPMatch {
	if in == nil {
		return nil
	}
	field := r.field + "." + name
	if protocol == nil || !protocol.IsICMP() {
		// A protocol that does not parse has its own problem.
		if r.rule.Protocol == nil || protocol != nil {
			r.lacks(r.field+".protocol", field, "needs protocol: ICMP or ICMPv6%s", butProtocol(protocol))
		}
	}
	if in.Code != nil && in.Type == nil {
		r.lacks(field+".type", field+".code", "needs a type as well")
	}
	return &policy.ICMPMatch{Type: r.octet(field+".type", in.Type, 254), Code: r.octet(field+".code", in.Code, 255)}
}

// butProtocol tells which protocol a rule has, for the end of a sentence.
func butProtocol(p *policy.Protocol) string {
	if p == nil {
		return ", but the rule has none"
	}
	return ", but it is " + p.String()
}

func (r *calicoRule) octet(field string, n *int, most int) *uint8 {
	if n == nil {
		return nil
	}
	if *n < 0 || *n > most {
		r.add(field, "%d is out of range: expected 0 to %d", *n, most)
		return nil
	}
	out := uint8(*n)
	return &out
}

// ports parses the ports of one side. protocol is the rule's, nil if it has none.
func (r *calicoRule) ports(field string, ports []v3.Port, protocol *policy.Protocol) *policy.Ports {
	if len(ports) == 0 {
		return nil
	}
	if protocol == nil || !protocol.HasPorts() {
		if r.rule.Protocol == nil || protocol != nil {
			r.lacks(r.field+".protocol", field, "need protocol: TCP, UDP or SCTP%s", butProtocol(protocol))
		}
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

// checkFamilies holds the family of the rule's CIDRs against its IP version.
func (r *calicoRule) checkFamilies(family policy.Family) {
	if family != policy.AnyFamily && r.netFamily != policy.AnyFamily && family != r.netFamily {
		r.add(r.netField, "is IPv%d, but the rule's ipVersion is %d", r.netFamily, family)
	}
}
