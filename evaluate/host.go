package evaluate

import "github.com/tierwall/tierwall/policy"

// visit asks who is met at one stop; governed says that somebody decides there.
func (c *connection) visit(v *Visit) (d policy.Decision, governed bool) {
	switch {
	case v.ToOwnNode && policy.HookInput.Exempts(c.Flow):
		return policy.Decision{Verdict: policy.Allow}, false
	case v.Hook == 0:
		return c.decide(v.Stop, v.Endpoint), true
	case v.Endpoint == nil:
		by := &policy.Decider{Kind: policy.KindEndpointToHost, Rule: policy.EndOfTier}
		return policy.Decision{Verdict: policy.Deny, By: by}, true
	}
	there := *c // as it comes by
	if v.Dst != c.Dst {
		there.holders[policy.Ingress] = c.index.Holder(v.Dst)
	}
	there.Dst, there.DstPort = v.Dst, v.DstPort
	d, governed = there.decideHost(v.Hook, v.Endpoint)
	open, safe := there.failsafe(v.Hook)
	switch {
	case safe && v.Hook.BeforeFilter():
		return d, false
	case safe && governed:
		return open, true
	}
	return d, governed
}

// failsafe decides what is open at every host endpoint. An early hook lets it by, and
// it is for later ones to say who allows it.
func (c *connection) failsafe(h policy.Hook) (policy.Decision, bool) {
	open := func(f policy.Failsafe) (policy.Decision, bool) {
		return policy.Decision{Verdict: policy.Allow, By: &policy.Decider{Kind: policy.KindFailsafe, Failsafe: f}}, true
	}
	if hosts, ok := c.index.(HostIndex); ok {
		if f, ok := hosts.HostSettings().Failsafe(h, c.Flow); ok {
			return open(f)
		}
	}
	if h.Exempts(c.Flow) {
		return open(policy.NeighbourDiscovery)
	}
	return policy.Decision{}, false
}

// decideHost asks the policies of a host endpoint that act at a hook; false if
// none does and nothing else governs there.
func (c *connection) decideHost(h policy.Hook, ep *policy.Endpoint) (policy.Decision, bool) {
	d, governed, decided := c.tiers(at(h), ep)
	switch {
	case decided:
		return d, true
	case h.Profiles():
		return c.profiles(d, h.Direction(), ep, governed), true
	case !governed:
		return d, false
	case h.BeforeFilter():
		d.Verdict = policy.Pass
	default:
		d.Verdict = policy.Allow // routed on: nothing stands against it
	}
	return d, true
}

// AtHost decides a flow at one hook of a host endpoint as tables do, without
// failsafes: false if no policy governs there. A verdict of Pass is given as Allow
// by nobody.
func (e *Evaluator) AtHost(h policy.Hook, ep *policy.Endpoint, f policy.Flow) (policy.Decision, bool) {
	c := newConnection(e.index, f, true)
	d, governed := c.decideHost(h, ep)
	if d.Verdict == policy.Pass {
		d.Verdict = policy.Allow
	}
	return d, governed
}
