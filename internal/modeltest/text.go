package modeltest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Text writes a model down, one object or rule a line, when it is printed: for
// the message of a test that failed.
type Text struct{ Model *policy.Model }

// String returns the text.
func (x Text) String() string {
	var b strings.Builder
	b.WriteString("model\n")
	for _, t := range x.Model.Tiers {
		writeObject(&b, t)
	}
	for _, p := range x.Model.Policies {
		writeObject(&b, p)
	}
	for _, ep := range x.Model.Endpoints {
		writeObject(&b, ep)
	}
	for _, s := range x.Model.Sets {
		writeObject(&b, s)
	}
	for _, n := range x.Model.Nodes {
		fmt.Fprintf(&b, "  node %s %v\n", n.Name, n.Addrs)
	}
	if h := x.Model.Host; h.EndpointToHost != 0 || h.FailsafeIn != nil || h.FailsafeOut != nil {
		fmt.Fprintf(&b, "  failsafes in %v out %v, endpoints to their host %v\n", h.FailsafeIn, h.FailsafeOut, h.EndpointToHost)
	}
	return b.String()
}

// ChangesText writes changes down, as Text does a model.
type ChangesText []policy.Change

// String returns the text.
func (x ChangesText) String() string {
	var b strings.Builder
	b.WriteString("changes\n")
	for _, c := range x {
		if c.Object == nil {
			fmt.Fprintf(&b, "  delete %v\n", c.Key)
		} else {
			writeObject(&b, c.Object)
		}
	}
	return b.String()
}

func writeObject(b *strings.Builder, o policy.Object) {
	switch o := o.(type) {
	case *policy.Tier:
		fmt.Fprintf(b, "  tier %s order %v, ends in %v\n", o.Name, o.Order, o.DefaultAction)
	case *policy.Policy:
		fmt.Fprintf(b, "  policy %v in tier %s order %v, for %s%s\n", o.Key, o.Tier, o.Order, o.Selector, hostOptionsText(o.Host))
		for _, dir := range policy.Directions {
			if !o.Types[dir] {
				continue
			}
			fmt.Fprintf(b, "    governs %v\n", dir)
			for i := range o.Rules[dir] {
				fmt.Fprintf(b, "      %s\n", ruleText(&o.Rules[dir][i]))
			}
		}
	case *policy.Endpoint:
		fmt.Fprintf(b, "  endpoint %v at %v, labels {%s} ports %v profiles %q node %q interface %q\n", o.Key, o.Addrs, labelsText(o.Labels), o.Ports, o.Profiles, o.Node, o.Interface)
	case *policy.Set:
		fmt.Fprintf(b, "  set %v labels {%s} nets %v\n", o.Key, labelsText(o.Labels), o.Nets)
	}
}

func hostOptionsText(o policy.HostOptions) string {
	switch {
	case o.PreDNAT:
		return ", before DNAT"
	case o.DoNotTrack:
		return ", without tracking"
	case o.ApplyOnForward:
		return ", on forward"
	}
	return ""
}

func labelsText(ls selector.Labels) string {
	words := make([]string, len(ls))
	for i, l := range ls {
		words[i] = l.Key + "=" + l.Value
	}
	return strings.Join(words, " ")
}

func ruleText(r *policy.Rule) string {
	words := []string{fmt.Sprintf("%d: %v", r.Index, r.Action)}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if r.Family != policy.AnyFamily {
		add("IPv%d", r.Family)
	}
	if r.Protocol != nil {
		add("%v", *r.Protocol)
	}
	if r.NotProtocol != nil {
		add("not %v", *r.NotProtocol)
	}
	if r.ICMP != nil {
		add("icmp %s", icmpText(r.ICMP))
	}
	if r.NotICMP != nil {
		add("not icmp %s", icmpText(r.NotICMP))
	}
	words = append(words, peerText("from", &r.Source)...)
	words = append(words, peerText("to", &r.Destination)...)
	return strings.Join(words, " ")
}

func peerText(side string, p *policy.Peer) (words []string) {
	add := func(format string, args ...any) {
		words = append(words, side+" "+fmt.Sprintf(format, args...))
	}
	peerSet := func(e *policy.PeerSet) string {
		text := "(" + e.Selector.String() + ")"
		for _, w := range []struct {
			is   bool
			word string
		}{{e.EndpointsOnly, "endpoints "}, {e.DNSLearned, "learned "}, {e.Internal, "private "}} {
			if w.is {
				text = w.word + text
			}
		}
		return text
	}
	if p.Set != nil {
		add("%s", peerSet(p.Set))
	}
	if p.NotSet != nil {
		add("not %s", peerSet(p.NotSet))
	}
	nets := func(what string, list []netip.Prefix) {
		if list != nil {
			add("%s %v", what, list)
		}
	}
	nets("nets", p.Nets)
	nets("not nets", p.NotNets)
	if p.Ports != nil {
		add("ports %v %v", p.Ports.Ranges, p.Ports.Names)
	}
	if p.NotPorts != nil {
		add("not ports %v %v", p.NotPorts.Ranges, p.NotPorts.Names)
	}
	return words
}

func icmpText(m *policy.ICMPMatch) string {
	text := func(v *uint8) string {
		if v == nil {
			return "any"
		}
		return fmt.Sprint(*v)
	}
	return text(m.Type) + "/" + text(m.Code)
}
