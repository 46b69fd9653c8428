package source

import (
	"slices"

	"github.com/tierwall/tierwall/internal/budget"
	"github.com/tierwall/tierwall/policy"
)

// checkSize adds what is too large of an object that is valid otherwise. It is computed from the
// object alone, so that every node decides alike.
func (ps *Problems) checkSize(p *Parsed) {
	if ps.Invalid() {
		return
	}
	var over []budget.Excess
	switch {
	case p.Policy != nil:
		over = budget.Check(p.Policy)
	case p.Staged != nil:
		over = budget.Check(p.Staged.Policy)
	case p.NetworkSet != nil:
		over = budget.OfSet(p.NetworkSet.Nets, p.NetworkSet.Domains)
	}
	for _, s := range p.RuleSets {
		over = append(over, budget.OfSet(s.Nets, s.Domains)...)
	}
	for i := range over {
		ps.add(over[i].Field(), "%s", over[i].String())
		(*ps)[len(*ps)-1].isSize = true
	}
}

// Isolating returns what stands for a policy of a namespace that is refused for its size and
// was never valid before: the same without rules, which isolates what it selects, in its directions.
// It returns false for what is wrong otherwise, and for what is not in force at all when it is
// refused: global policies, profiles, staged policies. The problems of the
// result are those of ps, which fail closed.
func (p *Parsed) Isolating(ps Problems) (Parsed, Problems, bool) {
	isSize := func(x Problem) bool { return x.isSize }
	wrong := func(x Problem) bool { return !x.isSize && !x.failsClosed }
	if p.Policy == nil || p.Policy.Key.Namespace == "" || !slices.ContainsFunc(ps, isSize) || slices.ContainsFunc(ps, wrong) {
		return Parsed{}, nil, false
	}
	bare := *p.Policy
	bare.Rules = [2][]policy.Rule{}
	closed := slices.Clone(ps)
	for i := range closed {
		if closed[i].isSize {
			closed[i].message += "; until then it isolates what it selects, as if it had no rules"
			closed[i].failsClosed = true
		}
	}
	return Parsed{Policy: &bare, Isolates: true}, closed, true
}
