package explain

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/policy"
)

// hostFlow are the flags that say what host endpoints see of a connection.
type hostFlow struct {
	iface, before, through string
	flags.EndpointToHost

	beforeDNAT netip.AddrPort // parsed
	in, out    string
}

func (o *hostFlow) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.iface, "interface", "", "interface of the host by which the connection comes in or leaves, or IN,OUT where these are two (default: that of the host endpoint that expects the address, else that of all interfaces)")
	f.StringVar(&o.through, "through", "", "node/NAME or host/NAME that routes the connection on, where neither end is on it")
	f.StringVar(&o.before, "before-dnat", "", "ADDRESS:PORT that the client connects to, before the node translates it: for policy with preDNAT")
	o.Register(cmd)
}

func (o *hostFlow) parse() error {
	if o.before != "" {
		a, err := netip.ParseAddrPort(o.before)
		if err != nil || a.Port() == 0 {
			return fmt.Errorf("--before-dnat %s: expected an address and a port, such as 192.0.2.1:30080", o.before)
		}
		o.beforeDNAT = a
	}
	o.in, o.out = o.iface, o.iface
	if in, out, two := strings.Cut(o.iface, ","); two {
		if o.in, o.out = in, out; in == "" || out == "" || strings.Contains(out, ",") {
			return fmt.Errorf("--interface %s: expected one interface, or two as in eth0,eth1: it comes in by the first, and leaves by the second", o.iface)
		}
	}
	return o.Parse()
}

// apply puts into the flow what is known of interfaces and translation.
func (o *hostFlow) apply(x *explanation) {
	x.flow.In, x.flow.Out = x.dst.Interface, x.src.Interface
	if o.iface != "" {
		x.flow.In, x.flow.Out = o.in, o.out
	}
	if o.beforeDNAT.IsValid() {
		x.flow.PreNATDst, x.flow.PreNATDstPort = o.beforeDNAT.Addr(), o.beforeDNAT.Port()
	}
}

// hasHost reports whether a node has a host endpoint.
func (x *explanation) hasHost(e ends.End) bool {
	return slices.ContainsFunc(x.model.Endpoints, func(ep *policy.Endpoint) bool {
		return ep.Host != nil && "node/"+ep.Node == e.Name
	})
}

// isOpen reports whether a decision is none of policy's.
func (p *explainPrinter) isOpen(d policy.Decision) bool {
	return d.By != nil && (d.By.Kind == policy.KindFailsafe || d.By.Kind == policy.KindEndpointToHost)
}

// hookWords say what a hook sees.
var hookWords = map[policy.Hook]string{
	policy.HookRawIn: "before connections are tracked", policy.HookPreDNAT: "before its destination is translated",
	policy.HookForwardIn: "as it comes in, to be routed on", policy.HookForwardOut: "as it leaves, having been routed",
	policy.HookRawOut: "as it leaves, before connections are tracked",
}

// hostReasons adds to the summary the host endpoints that brought the verdict about.
func (p *explainPrinter) hostReasons() {
	for _, h := range p.result.Hosts {
		if h.By != nil && h.Verdict == p.result.Verdict {
			p.printf("  %s by %s\n", p.outcome(h.Verdict, "at HostEndpoint "+h.Endpoint.Name+" "+verdictWord(h.Verdict)), p.decider(h.Decision))
		}
	}
}

// hosts prints what the host endpoints on the way say.
func (p *explainPrinter) hosts() {
	for _, h := range p.result.Hosts {
		word := "goes on"
		if h.Verdict != policy.Pass {
			word = verdictWord(h.Verdict)
		}
		p.printf("\n%s: %s\n", p.Bold("At HostEndpoint "+h.Endpoint.Name+", "+hookWords[h.Hook]), p.outcome(h.Verdict, word))
		for _, trace := range h.Trace {
			for _, t := range p.model.Tiers {
				if t.Name == trace.Tier {
					p.tier(t, trace)
				}
			}
		}
		switch {
		case p.isOpen(h.Decision):
			p.profile(h.Decision)
		case h.Verdict == policy.Pass:
			p.printf("  %s\n", p.outcome(policy.Pass, "->   no rule decided: the rest of the host's policy is asked"))
		case h.Verdict == policy.Allow && h.By == nil:
			p.printf("  %s\n", p.outcome(policy.Allow, "=>   every tier passed it on: it is routed"))
		case h.Verdict == policy.Allow && h.Hook.BeforeFilter():
			p.printf("     %s\n", p.Dim("the rest of the host's policy is not asked"))
		}
	}
}

// noteHosts notes which of several host endpoints of a node the answer is for,
// where nobody said by which interface the connection comes or goes.
func (x *explanation) noteHosts() {
	if x.flow.In != "" && x.flow.Out != "" {
		return
	}
	asked := map[policy.Key]bool{}
	for _, h := range x.result.Hosts {
		asked[h.Endpoint] = true
	}
	on := map[string][]string{}
	nodes := map[string]string{} // by node: which of its endpoints was asked
	for _, ep := range x.model.Endpoints {
		if ep.Host == nil {
			continue
		}
		on[ep.Node] = append(on[ep.Node], ep.Key.Name)
		if asked[ep.Key] {
			nodes[ep.Node] = ep.Key.Name
		}
	}
	for e, iface := range map[*ends.End]string{&x.src: x.flow.Out, &x.dst: x.flow.In} {
		node, isNode := strings.CutPrefix(e.Name, "node/")
		if _, told := nodes[node]; isNode && !told && iface == "" && len(on[node]) > 1 {
			x.notes = append(x.notes, fmt.Sprintf("node %s has %d host endpoints: this is the answer for one of them (ask with --interface)", node, len(on[node])))
		}
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		if len(on[node]) > 1 {
			x.notes = append(x.notes, fmt.Sprintf("node %s has %d host endpoints: this is the answer for %s (ask with --interface)", node, len(on[node]), nodes[node]))
		}
	}
}
