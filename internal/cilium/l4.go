package cilium

import (
	"slices"
	"strconv"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// l4 is what a rule demands of protocol, destination ports, ICMP type and request;
// family is the IP version that this implies, or 0.
type l4 struct {
	protocol *v3.Protocol
	ports    []v3.Port // none: all
	icmp     *v3.ICMPFields
	http     *v3.HTTPMatch
	family   policy.Family
}

// anyOf are the protocols for which ANY stands.
var anyOf = []string{"TCP", "UDP", "SCTP"}

// l4 returns what a rule demands beside its peers: one of these must hold.
func (r *ruleConverter) l4() []l4 {
	if len(r.ports)+len(r.icmps) == 0 {
		return []l4{{}}
	}
	var out []l4
	for i := range r.ports {
		out = append(out, r.portRule(index("toPorts", i), &r.ports[i])...)
	}
	for i := range r.icmps {
		for j := range r.icmps[i].Fields {
			out = append(out, r.icmpField(index("icmps", i)+"."+index("fields", j), &r.icmps[i].Fields[j])...)
		}
	}
	return out
}

// portRule converts the ports of one item, together with what it says of requests.
func (r *ruleConverter) portRule(field string, p *PortRule) []l4 {
	for _, x := range []struct {
		name  string
		given bool
		why   string
	}{
		{"terminatingTLS", p.TerminatingTLS != nil, "TLS that is ended on the way cannot be expressed"},
		{"originatingTLS", p.OriginatingTLS != nil, "TLS that is begun on the way cannot be expressed"},
		{"serverNames", len(p.ServerNames) > 0, "server names of TLS cannot be expressed"},
		{"listener", p.Listener != nil, "an Envoy listener cannot be expressed"},
	} {
		if x.given {
			r.losePart(field+"."+x.name, x.why)
			return nil
		}
	}
	if len(p.Ports) == 0 {
		r.losePart(field+".ports", "is empty, which matches no connection")
		return nil
	}
	requests, ok := r.requests(field, p)
	byProtocol := map[string][]v3.Port{}
	whole := map[string]bool{}
	var order []string
	for i := range p.Ports {
		portField := field + "." + index("ports", i)
		port, protocols, fine := r.port(portField, &p.Ports[i])
		var numbers map[string]v3.Port
		if r.direction == policy.Egress && fine && isPortName(string(port)) {
			numbers, protocols = r.clusterPort(portField+".port", string(port), protocols)
		}
		for _, name := range protocols {
			if !fine {
				continue
			}
			if _, seen := byProtocol[name]; !seen {
				order = append(order, name)
				byProtocol[name] = nil
			}
			if n, named := numbers[name]; named {
				port = n
			}
			if port == "" {
				whole[name] = true
			} else if !slices.Contains(byProtocol[name], port) {
				byProtocol[name] = append(byProtocol[name], port)
			}
		}
	}
	if !ok {
		return nil
	}
	var out []l4
	for _, name := range order {
		protocol := v3.Protocol(name)
		ports := byProtocol[name]
		if whole[name] {
			ports = nil
		}
		for _, http := range requests {
			out = append(out, l4{protocol: &protocol, ports: ports, http: http})
		}
	}
	return out
}

// port returns a port as policies write it, "" for all, and its protocols.
func (r *ruleConverter) port(field string, p *PortProtocol) (port v3.Port, protocols []string, ok bool) {
	at := r.field + "." + field
	switch name := strings.ToUpper(p.Protocol); name {
	case "", "ANY":
		protocols = anyOf
	case "TCP", "UDP", "SCTP":
		protocols = []string{name}
	case "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH":
		protocols = []string{withoutPorts[name]}
	case "ICMP", "ICMPV6":
		r.losePart(field+".protocol", "%s among ports cannot be expressed: write icmps", p.Protocol)
		return "", nil, false
	default:
		r.invalid(at+".protocol", "%q: expected TCP, UDP, SCTP, VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH or ANY", p.Protocol)
		return "", nil, false
	}
	n, err := strconv.ParseUint(p.Port, 10, 16)
	switch {
	case p.Port == "" && p.EndPort == 0 && !hasPorts(protocols[0]):
		return "", protocols, true
	case p.Port == "":
		r.invalid(at+".port", "is missing: expected a number, 0 for all, or a name")
	case err != nil && !isPortName(p.Port):
		r.invalid(at+".port", "%q is no port: expected a number from 0 to 65535, or a name of at most 15 letters", p.Port)
	case err != nil && p.EndPort != 0:
		r.invalid(at+".endPort", "needs a port that is a number")
	case err == nil && (p.EndPort < 0 || p.EndPort > 65535 || p.EndPort != 0 && uint64(p.EndPort) < n):
		r.invalid(at+".endPort", "%d: expected a number from %d to 65535", p.EndPort, n)
	case err == nil && n == 0 && p.EndPort != 0:
		r.invalid(at+".endPort", "needs a port that is not 0")
	case !hasPorts(protocols[0]) && (err != nil || n != 0):
		r.invalid(at+".port", "%s has no ports: expected 0", p.Protocol)
	case err == nil && n == 0:
		return "", protocols, true
	case err != nil:
		return v3.Port(strings.ToLower(p.Port)), protocols, true
	case uint64(p.EndPort) > n:
		return v3.Port(strconv.FormatUint(n, 10) + ":" + strconv.Itoa(int(p.EndPort))), protocols, true
	default:
		return v3.Port(strconv.FormatUint(n, 10)), protocols, true
	}
	return "", nil, false
}

// clusterPort returns the number that a name has in the cluster, by protocol, and the
// protocols with which it has one. Of the others nothing matches.
func (r *ruleConverter) clusterPort(field, name string, protocols []string) (map[string]v3.Port, []string) {
	numbers, ambiguous := map[string]v3.Port{}, 0
	var with []string
	for _, protocol := range protocols {
		n, count := r.portNames.number(name, protocol)
		switch {
		case count == 1:
			numbers[protocol] = v3.Port(strconv.Itoa(int(n)))
			with = append(with, protocol)
		case count > 1:
			ambiguous = count
		}
	}
	at := r.field + "." + field
	switch {
	case len(with) > 0:
	case ambiguous > 0:
		r.Notes = append(r.Notes, note(r.from.At(at, "%q matches nothing: a named port of egress is one number in the whole cluster, and pods have %d of that name: write the number", name, ambiguous)))
	case r.portNames.pods:
		r.Notes = append(r.Notes, note(r.from.At(at, "%q matches nothing: a named port of egress is one number in the whole cluster, and no pod has a port of that name: write the number", name)))
	default:
		r.losePart(field, "a named port of egress is one number in the whole cluster, and no pods are here that say which number %q is: add the pods, or write the number", name)
	}
	return numbers, with
}

// withoutPorts are the numbers of protocols that have no ports, by their names.
var withoutPorts = map[string]string{"VRRP": "112", "IGMP": "2", "GRE": "47", "IPIP": "4", "IPV6": "41", "ESP": "50", "AH": "51"}

func hasPorts(protocol string) bool { return slices.Contains(anyOf, protocol) }

// isPortName reports whether a text is the name of a port.
func isPortName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return len(s) <= 15 && strings.ContainsAny(s, letters) && strings.Trim(s, letters+"0123456789-") == "" &&
		!strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") && !strings.Contains(s, "--")
}

// The names of ICMP types, in lower case, by IP version.
var icmpTypes = map[policy.Family]map[string]int{
	policy.IPv4: {
		"echoreply": 0, "destinationunreachable": 3, "redirect": 5, "echo": 8, "echorequest": 8, "routeradvertisement": 9,
		"routerselection": 10, "timeexceeded": 11, "parameterproblem": 12, "timestamp": 13, "timestampreply": 14,
		"photuris": 40, "extendedechorequest": 42, "extendedechoreply": 43,
	},
	policy.IPv6: {
		"destinationunreachable": 1, "packettoobig": 2, "timeexceeded": 3, "parameterproblem": 4, "echorequest": 128, "echoreply": 129,
		"multicastlistenerquery": 130, "multicastlistenerreport": 131, "multicastlistenerdone": 132,
		"routersolicitation": 133, "routeradvertisement": 134, "neighborsolicitation": 135, "neighboradvertisement": 136,
		"redirectmessage": 137, "routerrenumbering": 138, "icmpnodeinformationquery": 139, "icmpnodeinformationresponse": 140,
		"inverseneighbordiscoverysolicitation": 141, "inverseneighbordiscoveryadvertisement": 142,
		"homeagentaddressdiscoveryrequest": 144, "homeagentaddressdiscoveryreply": 145, "mobileprefixsolicitation": 146,
		"mobileprefixadvertisement": 147, "duplicateaddressrequestcodesuffix": 157, "duplicateaddressconfirmationcodesuffix": 158,
		"extendedechorequest": 160, "extendedechoreply": 161,
	},
}

func (r *ruleConverter) icmpField(field string, f *ICMPField) []l4 {
	at := r.field + "." + field
	protocol, family := v3.Protocol("ICMP"), policy.IPv4
	switch f.Family {
	case "", "IPv4":
	case "IPv6":
		protocol, family = "ICMPv6", policy.IPv6
	default:
		r.invalid(at+".family", "%q: expected IPv4 or IPv6", f.Family)
		return nil
	}
	if f.Type == nil {
		r.invalid(at+".type", "is missing: expected a number from 0 to 255, or a name")
		return nil
	}
	text := f.Type.String()
	n, err := strconv.Atoi(text)
	if err != nil {
		known := false
		if n, known = icmpTypes[family][strings.ToLower(text)]; !known {
			r.invalid(at+".type", "%q is no type of %s: expected a number from 0 to 255, or a name such as EchoRequest", text, protocol)
			return nil
		}
	}
	switch {
	case n < 0 || n > 255:
		r.invalid(at+".type", "%d: expected 0 to 255", n)
		return nil
	case n == 255:
		r.losePart(field+".type", "type 255 cannot be expressed")
		return nil
	}
	return []l4{{protocol: &protocol, icmp: &v3.ICMPFields{Type: &n}, family: family}}
}
