package explain

import (
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/policy"
)

// connectionJSON is the connection that was judged.
type connectionJSON struct {
	From     endJSON `json:"from"`
	To       endJSON `json:"to"`
	Protocol string  `json:"protocol"`
	Port     *uint16 `json:"port,omitempty"` // of the destination; absent for protocols without ports
	// SourcePort is absent if the answer is the same for all ephemeral ports.
	SourcePort *uint16 `json:"sourcePort,omitempty"`
	ICMPType   *uint8  `json:"icmpType,omitempty"`
	ICMPCode   *uint8  `json:"icmpCode,omitempty"`
}

// endJSON is one end of a connection.
type endJSON struct {
	Name string `json:"name"` // as --from and --to take it
	// Address is absent if the end has none but one that was made up.
	Address string `json:"address,omitempty"`
	// Labels are the endpoint's own; absent for what is no endpoint.
	Labels map[string]string `json:"labels,omitempty"`
	Node   string            `json:"node,omitempty"` // that an endpoint is on, if that is known
	// StandsFor is the workload that was asked for, if its first pod stands for it, or the
	// pod on the node's network.
	StandsFor string `json:"standsFor,omitempty"`
}

func (x *explanation) connectionJSON() connectionJSON {
	f := &x.flow
	out := connectionJSON{From: endToJSON(x.src), To: endToJSON(x.dst), Protocol: f.Protocol.String()}
	switch {
	case f.Protocol.HasPorts():
		out.Port = &f.DstPort
		if !x.anyEphemeral {
			out.SourcePort = &f.SrcPort
		}
	case f.Protocol.IsICMP():
		out.ICMPType, out.ICMPCode = &f.ICMPType, &f.ICMPCode
	}
	return out
}

func endToJSON(e ends.End) endJSON {
	out := endJSON{Name: e.Name, StandsFor: e.Workload + e.HostPod} // one of them is empty
	ep := e.Endpoint
	if e.Addr != (netip.Addr{}) && (ep == nil || !ep.PlaceholderAddrs) {
		out.Address = e.Addr.String()
	}
	if ep == nil {
		return out
	}
	out.Node, out.Labels = ep.Node, map[string]string{}
	for _, l := range ep.Labels {
		if !isDerivedLabel(l.Key) {
			out.Labels[strings.TrimPrefix(l.Key, "own:")] = l.Value
		}
	}
	return out
}

// eachPlace fills in where the objects are written.
func (r *resultJSON) eachPlace(place func(policy.Key) string) {
	decisions := []*decisionJSON{&r.Egress, &r.Ingress}
	for i := range r.Hosts {
		decisions = append(decisions, &r.Hosts[i].decisionJSON)
	}
	if r.Answer != nil {
		decisions = append(decisions, &r.Answer.decisionJSON)
	}
	policies := func(list []policyJSON) {
		for i := range list {
			list[i].Place = place(policy.Key{Kind: list[i].Kind, Namespace: list[i].Namespace, Name: list[i].Name})
		}
	}
	for _, d := range decisions {
		if by := d.DecidedBy; by != nil {
			by.Place = place(policy.Key{Kind: by.Kind, Namespace: by.Namespace, Name: by.Name})
		}
		for i := range d.Trace {
			policies(d.Trace[i].Policies)
		}
		policies(d.Profiles)
	}
}
