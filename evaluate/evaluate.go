// Package evaluate is the reference: one connection and one policy set give a
// verdict with its trace. It walks tiers, policies and rules in their order and
// looks at every endpoint and set there is: no index, no cache. Whatever else
// decides in tierwall is judged by it, so it is kept plain.
package evaluate

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Evaluator decides flows by one state of the model. It is safe for concurrent use.
type Evaluator struct {
	tiers []tier
	model *policy.Model
}

// tier is a tier with its policies, both in evaluation order.
type tier struct {
	*policy.Tier
	policies []*policy.Policy
}

// New prepares the model for evaluation: it sorts tiers and policies, no more.
// The model must not change afterwards. A policy of a tier that the model does
// not have is not enforced.
func New(m *policy.Model) *Evaluator {
	e := &Evaluator{model: m}
	for _, t := range slices.SortedFunc(slices.Values(m.Tiers), policy.CompareTiers) {
		in := tier{Tier: t}
		for _, p := range m.Policies {
			if p.Tier == t.Name {
				in.policies = append(in.policies, p)
			}
		}
		slices.SortFunc(in.policies, policy.ComparePolicies)
		e.tiers = append(e.tiers, in)
	}
	return e
}

// Evaluate decides one flow: the egress policies of its source and the ingress
// policies of its destination must both allow it. An end that is no endpoint
// of the model has no say, and neither has policy on a connection of an address
// with itself or of an endpoint with the node it runs on.
func (e *Evaluator) Evaluate(f policy.Flow) policy.Result {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	c := connection{Flow: f, model: e.model, holders: [2]*policy.Endpoint{
		policy.Egress:  e.at(f.Src),
		policy.Ingress: e.at(f.Dst),
	}}
	res := policy.Result{
		Verdict: policy.Allow,
		Egress:  policy.Decision{Verdict: policy.Allow},
		Ingress: policy.Decision{Verdict: policy.Allow},
	}
	if f.Src == f.Dst {
		return res
	}
	if src := c.holders[policy.Egress]; src != nil && !e.onNode(src, f.Dst) {
		res.Egress = e.decide(&c, policy.Egress, src)
	}
	if dst := c.holders[policy.Ingress]; dst != nil && !e.onNode(dst, f.Src) {
		res.Ingress = e.decide(&c, policy.Ingress, dst)
	}
	if res.Egress.Verdict == policy.Deny || res.Ingress.Verdict == policy.Deny {
		res.Verdict = policy.Deny
	}
	return res
}

// at gives the endpoint that holds the address, nil if none does. Of several, as
// there are while an address is handed over, it is the first that counts.
func (e *Evaluator) at(addr netip.Addr) *policy.Endpoint {
	var holder *policy.Endpoint
	for _, ep := range e.model.Endpoints {
		if slices.Contains(ep.Addrs, addr) && (holder == nil || policy.CompareHolders(ep, holder) < 0) {
			holder = ep
		}
	}
	return holder
}

// onNode reports whether the address belongs to the node that the endpoint runs on.
func (e *Evaluator) onNode(ep *policy.Endpoint, addr netip.Addr) bool {
	return slices.ContainsFunc(e.model.Nodes, func(n *policy.Node) bool {
		return n.Name == ep.Node && slices.Contains(n.Addrs, addr)
	})
}

// decide asks the policies of one direction that apply to the endpoint.
func (e *Evaluator) decide(c *connection, dir policy.Direction, ep *policy.Endpoint) policy.Decision {
	var d policy.Decision
	for _, t := range e.tiers {
		trace := policy.TierTrace{Tier: t.Name}
		var by *policy.Decider
		for _, p := range t.policies {
			if !p.Types[dir] || !p.Selector.Match(ep.Labels) {
				continue
			}
			var pt policy.PolicyTrace
			pt, by = c.ask(p, dir)
			trace.Policies = append(trace.Policies, pt)
			if by != nil {
				trace.Outcome = pt.Rules[len(pt.Rules)-1].Action
				break
			}
		}
		if len(trace.Policies) == 0 {
			continue // no policy of the tier applies: the tier is skipped
		}
		if by == nil {
			last := trace.Policies[len(trace.Policies)-1].Key
			by = decider(t.Name, last, policy.EndOfTier)
			trace.AtEnd, trace.Outcome = true, t.DefaultAction
		}
		d.Trace = append(d.Trace, trace)
		if trace.Outcome != policy.Pass {
			d.Verdict, d.By = trace.Outcome, by
			return d
		}
	}
	return profile(d, ep)
}

// profile decides what no policy decided.
func profile(d policy.Decision, ep *policy.Endpoint) policy.Decision {
	if ep.Profile == "" {
		d.Verdict = policy.Deny
		d.By = &policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}
		return d
	}
	d.Verdict = policy.Allow
	if len(d.Trace) > 0 { // policies governed, and passed it on
		d.By = &policy.Decider{Kind: policy.KindProfile, Name: ep.Profile}
	}
	return d
}

// ask goes through the rules of one policy. The decider is nil if no rule ends
// the policy; otherwise the last rule of the trace is the one that does.
func (c *connection) ask(p *policy.Policy, dir policy.Direction) (policy.PolicyTrace, *policy.Decider) {
	pt := policy.PolicyTrace{Key: p.Key, Order: p.Order}
	for i := range p.Rules[dir] {
		r := &p.Rules[dir][i]
		why := c.mismatch(r)
		pt.Rules = append(pt.Rules, policy.RuleTrace{Index: r.Index, Action: r.Action, Matched: why == "", Why: why})
		if why == "" && r.Action != policy.Log {
			return pt, decider(p.Tier, p.Key, r.Index)
		}
	}
	return pt, nil
}

func decider(tier string, k policy.Key, rule int) *policy.Decider {
	return &policy.Decider{Tier: tier, Kind: k.Kind, Namespace: k.Namespace, Name: k.Name, Rule: rule}
}
