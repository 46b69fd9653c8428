package evaluate

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// What a hook before connection tracking allows is not tracked, so that there is nothing
// by which a node could tell that an answer is one: it comes by like any other first packet,
// the ends changed places. It gets through if it is not tracked either, and else if policy
// allows it as a connection of its own. TCP and SCTP answers do not begin one: they get
// through where policy governs nothing only. Where several nodes do not track a connection, that is so at each.

// isUntracked reports whether a hook before connection tracking, with its decision, lets the
// connection by without tracking: that is for its packets, whatever request they carry.
func (c *connection) isUntracked(at *Visit, d policy.Decision) bool {
	if c.HTTP != nil {
		packets := *c
		packets.HTTP = nil
		d, _ = packets.visit(at)
	}
	return d.Verdict == policy.Allow
}

// deniedAnswer returns what denies the answers of a connection at the node that does not
// track it; nil if nothing does.
func (c *connection) deniedAnswer(at *Visit) *policy.Answer {
	back := newConnection(c.index, answerTo(c.Flow, at), c.traced)
	var space [longestRoute]Visit
	route := slices.DeleteFunc(back.route(space[:0]), func(v Visit) bool { return v.Node != at.Node })
	tracked := true
	for len(route) > 0 {
		v := &route[0]
		route = route[1:]
		d, governed := back.visit(v)
		if !governed {
			continue
		}
		outOfState := tracked && (c.Protocol == policy.TCP || c.Protocol == policy.SCTP) && back.isStrict(v)
		if outOfState {
			d = policy.Decision{Verdict: policy.Deny}
		}
		if d.Verdict == policy.Deny {
			a := &policy.Answer{Node: v.Node, Hook: v.Hook, OutOfState: outOfState, Decision: d}
			if v.Endpoint != nil {
				a.Endpoint = v.Endpoint.Key
			}
			return a
		}
		tracked = tracked && !(v.Hook.Raw() && d.Verdict == policy.Allow)
		route = slices.DeleteFunc(route, func(later Visit) bool { return v.Skips(d.Verdict, &later) })
	}
	return nil
}

// isStrict reports whether no TCP or SCTP packet passes a visit that belongs to no connection:
// after connection tracking, where something governs. A workload's packets meet its policy
// of either direction for that.
func (c *connection) isStrict(v *Visit) bool {
	switch {
	case v.Hook.BeforeFilter() || v.Endpoint == nil:
		return false
	case v.Hook == 0:
		return c.decide(egress, v.Endpoint).By != nil || c.decide(ingress, v.Endpoint).By != nil
	}
	d, governed := c.decideHost(v.Hook, v.Endpoint)
	return governed && (d.By != nil || !v.Hook.Profiles())
}

// answerTo returns the flow of the answers to a connection as a node sees it at a visit.
func answerTo(f policy.Flow, at *Visit) policy.Flow {
	back := policy.Flow{
		Src: at.Dst, SrcPort: at.DstPort, Dst: f.Src, DstPort: f.SrcPort, Protocol: f.Protocol,
		ICMPType: f.Protocol.ICMPAnswer(f.ICMPType), ICMPCode: f.ICMPCode, Router: f.Router, In: f.Out, Out: f.In,
	}
	if f.Router == "" && f.PreNATDst.IsValid() {
		back.Router = at.Node // it is between the ends, as what was asked for is one of its addresses
	}
	return back
}
