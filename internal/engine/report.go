package engine

import "github.com/tierwall/tierwall/policy"

// Selected visits the policies that select local endpoints, in no order, with
// the number of endpoints that each selects, as of the last Flush. Policies of
// tiers that do not exist are left out: they are not in force.
func (e *Engine) Selected(visit func(p *policy.Policy, endpoints int)) {
	counts := map[uint32]int{}
	for _, l := range e.locals {
		for _, p := range e.identities.at(l.identity).local.ordered {
			counts[p]++
		}
	}
	for id, n := range counts {
		visit(e.policies.at(id).policy, n)
	}
}

// Locals returns the number of endpoints that the engine makes programs for.
func (e *Engine) Locals() int { return len(e.locals) }
