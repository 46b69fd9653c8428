package engine

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Selected visits the policies that select local endpoints, in no order, with
// the number of endpoints that each selects, and of those the number that count
// holds for; as of the last Flush. Policies of tiers that do not exist are left
// out: they are not in force.
func (e *Engine) Selected(count func(endpoint policy.Key) bool, visit func(p *policy.Policy, endpoints, counted int)) {
	type sum struct{ all, counted int }
	sums := map[uint32]sum{}
	for key, l := range e.locals {
		counts := count(key)
		for _, p := range e.identities.at(l.identity).local.ordered {
			s := sums[p]
			s.all++
			if counts {
				s.counted++
			}
			sums[p] = s
		}
	}
	for id, s := range sums {
		visit(e.policies.at(id).policy, s.all, s.counted)
	}
}

// Locals returns the number of endpoints that the engine makes programs for.
func (e *Engine) Locals() int { return len(e.locals) }

// Owned reports whether some endpoint has an address, by the changes that were applied.
func (e *Engine) Owned(a netip.Addr) bool {
	switch {
	case a.Is4():
		r := e.v4.find(a.As4())
		return r != 0 && e.v4.recs.At(r).owner != 0
	case a.Is6():
		r := e.v6.find(a.As16())
		return r != 0 && e.v6.recs.At(r).owner != 0
	}
	return false
}
