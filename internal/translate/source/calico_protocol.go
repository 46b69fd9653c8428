package source

import (
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

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
