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
// with itself or of a node with an endpoint that runs on it. What an endpoint sends to
// the node it runs on is decided as [Stop.ToOwnNode] says.
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
	var untracked []*Visit // one of a node at the most
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
		if v.Hook.Raw() && c.isUntracked(v, d) {
			untracked = append(untracked, v)
		}
		route = slices.DeleteFunc(route, func(later Visit) bool { return v.Skips(d.Verdict, &later) })
	}
	for _, v := range untracked {
		if res.Verdict == policy.Deny {
			break
		}
		if res.Answer = c.deniedAnswer(v); res.Answer != nil {
			res.Verdict = policy.Deny
		}
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

// decide asks the policies of one direction that apply to a workload, on the way to its own
// node or elsewhere.
func (c *connection) decide(s Stop, ep *policy.Endpoint) policy.Decision {
	d, governed, decided := c.tiers(s, ep)
	if decided {
		return d
	}
	return c.profiles(d, s.Direction, ep, governed)
}

// tiers goes through the tiers until one decides. governed says that some policy
// applies. At a hook of a host endpoint only the policies that act there do.
func (c *connection) tiers(s Stop, ep *policy.Endpoint) (d policy.Decision, governed, decided bool) {
	for _, t := range c.index.Tiers(ep, s.Direction) {
		if t.Policies = acting(t.Policies, s.Hook); len(t.Policies) == 0 {
			continue
		}
		trace := policy.TierTrace{Tier: t.Name}
		var asked *policy.Policy
		var by *policy.Rule
		for _, p := range t.Policies {
			var pt policy.PolicyTrace
			pt, by = c.ask(p, s.Direction)
			if c.traced {
				trace.Policies = append(trace.Policies, pt)
			}
			if by != nil {
				trace.Outcome, asked = by.Action, p
				break
			}
		}
		if by == nil {
			trace.AtEnd, trace.Outcome, asked = true, t.DefaultAction, deciding(t.Policies, s)
			if trace.ToOwnNode = asked == nil; trace.ToOwnNode || s.Hook.BeforeFilter() {
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

// deciding returns the policy for which the end of a tier acts: the last one. On the way to
// the workload's own node it is the last of those that decide about that, nil if none does.
func deciding(policies []*policy.Policy, s Stop) *policy.Policy {
	for _, p := range slices.Backward(policies) {
		if s.Hook != 0 || !s.ToOwnNode || p.DecidesToOwnNode() {
			return p
		}
	}
	return nil
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

// profiles decides what no policy decided: the endpoint's profiles do, in their order, and
// without an Allow of any it is denied. governed says that some policy applies, and passed
// it on.
func (c *connection) profiles(d policy.Decision, dir policy.Direction, ep *policy.Endpoint, governed bool) policy.Decision {
	for _, name := range ep.Profiles {
		if ep.AllowedBy(name) {
			d.Verdict = policy.Allow
			if governed { // else nothing stands against it
				d.By = &policy.Decider{Kind: policy.KindProfile, Name: name}
			}
			return d
		}
		p := c.index.Profile(name)
		if p == nil {
			d.Verdict, d.By = policy.Deny, &policy.Decider{Kind: policy.KindProfile, Name: name, Rule: policy.EndOfTier}
			return d
		}
		governed = governed || len(p.Rules[dir]) > 0
		trace, by := c.ask(p, dir)
		if c.traced {
			d.Profiles = append(d.Profiles, trace)
		}
		if by != nil && by.Action != policy.Pass {
			d.Verdict, d.By = by.Action, decider(p, by)
			return d
		}
	}
	d.Verdict, d.By = policy.Deny, &policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}
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
