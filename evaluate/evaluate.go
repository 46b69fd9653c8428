package evaluate

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Evaluator decides flows by one state of the model. It is safe for concurrent use.
type Evaluator struct {
	index Index
}

// New prepares the model for evaluation: it sorts tiers and policies, no more.
// The model must not change afterwards. A policy of a tier that the model does
// not have is not enforced.
func New(m *policy.Model) *Evaluator {
	return &Evaluator{newScan(m)}
}

// Evaluate decides one flow: the egress policies of its source and the ingress
// policies of its destination must both allow it. An end that is no endpoint
// of the model has no say, and neither has policy on a connection of an address
// with itself or of an endpoint with the node it runs on.
func (e *Evaluator) Evaluate(f policy.Flow) policy.Result { return evaluate(e.index, f, true) }

// evaluate decides a flow, with a trace if it is to be traced.
func evaluate(index Index, f policy.Flow, traced bool) policy.Result {
	c := newConnection(index, f, traced)
	res := policy.Result{
		Verdict: policy.Allow,
		Egress:  policy.Decision{Verdict: policy.Allow},
		Ingress: policy.Decision{Verdict: policy.Allow},
	}
	var space [longestRoute]Visit
	for route := c.route(space[:0]); len(route) > 0; {
		v := &route[0]
		route = route[1:]
		d, governed := c.visit(v)
		if !governed {
			continue
		}
		switch {
		case !v.AtEnd():
			res.Hosts = append(res.Hosts, policy.HostDecision{Hook: v.Hook, Endpoint: v.Endpoint.Key, Decision: d})
		case v.Direction == policy.Egress:
			res.Egress = d
		default:
			res.Ingress = d
		}
		if d.Verdict == policy.Deny {
			res.Verdict = policy.Deny // others say all the same what they do
		}
		route = slices.DeleteFunc(route, func(later Visit) bool { return v.Skips(d.Verdict, &later) })
	}
	return res
}

func newConnection(index Index, f policy.Flow, traced bool) *connection {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	return &connection{Flow: f, index: index, traced: traced, holders: [2]*policy.Endpoint{
		policy.Egress:  index.Holder(f.Src),
		policy.Ingress: index.Holder(f.Dst),
	}}
}

// decide asks the policies of one direction that apply to a workload.
func (c *connection) decide(dir policy.Direction, ep *policy.Endpoint) policy.Decision {
	d, governed, decided := c.tiers(dir, ep, 0)
	if decided {
		return d
	}
	return profile(d, ep, governed)
}

// tiers goes through the tiers until one decides. governed says that some policy
// applies. At a hook of a host endpoint only the policies that act there do; hook
// 0 is a workload's.
func (c *connection) tiers(dir policy.Direction, ep *policy.Endpoint, hook policy.Hook) (d policy.Decision, governed, decided bool) {
	for _, t := range c.index.Tiers(ep, dir) {
		if t.Policies = acting(t.Policies, hook); len(t.Policies) == 0 {
			continue
		}
		trace := policy.TierTrace{Tier: t.Name}
		asked := t.Policies[len(t.Policies)-1]
		var by *policy.Rule
		for _, p := range t.Policies {
			var pt policy.PolicyTrace
			pt, by = c.ask(p, dir)
			if c.traced {
				trace.Policies = append(trace.Policies, pt)
			}
			if by != nil {
				trace.Outcome, asked = by.Action, p
				break
			}
		}
		if by == nil {
			if trace.AtEnd, trace.Outcome = true, t.DefaultAction; hook.BeforeFilter() {
				trace.Outcome = policy.Pass
			}
		}
		if c.traced {
			d.Trace = append(d.Trace, trace)
		}
		if trace.Outcome != policy.Pass {
			d.Verdict, d.By = trace.Outcome, decider(asked, by)
			return d, true, true
		}
		governed = true
	}
	return d, governed, false
}

// acting returns the policies that act at a hook.
func acting(policies []*policy.Policy, hook policy.Hook) []*policy.Policy {
	idle := func(p *policy.Policy) bool {
		if hook == 0 {
			return !p.Host.ActsOnWorkloads()
		}
		return !p.Host.ActsAt(hook)
	}
	if !slices.ContainsFunc(policies, idle) {
		return policies // as nearly always
	}
	return slices.DeleteFunc(slices.Clone(policies), idle)
}

// profile decides what no policy decided.
func profile(d policy.Decision, ep *policy.Endpoint, governed bool) policy.Decision {
	if ep.Profile == "" {
		d.Verdict = policy.Deny
		d.By = &policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}
		return d
	}
	d.Verdict = policy.Allow
	if governed { // policies did, and passed it on
		d.By = &policy.Decider{Kind: policy.KindProfile, Name: ep.Profile}
	}
	return d
}

// ask goes through the rules of one policy. It gives the rule that ends the policy,
// the last one of the trace; nil if none does.
func (c *connection) ask(p *policy.Policy, dir policy.Direction) (policy.PolicyTrace, *policy.Rule) {
	pt := policy.PolicyTrace{Key: p.Key, Order: p.Order}
	for i := range p.Rules[dir] {
		r := &p.Rules[dir][i]
		criterion, of := c.mismatch(r)
		matched := criterion == 0
		if c.traced {
			rt := policy.RuleTrace{Index: r.Index, Action: r.Action, Matched: matched}
			if !matched {
				rt.Mismatch = c.why(r, criterion, of)
			}
			pt.Rules = append(pt.Rules, rt)
		}
		if matched && r.Action != policy.Log {
			return pt, r
		}
	}
	return pt, nil
}

// decider names a rule of a policy, or without one the end of its tier.
func decider(p *policy.Policy, r *policy.Rule) *policy.Decider {
	by := &policy.Decider{Tier: p.Tier, Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rule: policy.EndOfTier}
	if r != nil {
		by.Rule = r.Index
	}
	return by
}
