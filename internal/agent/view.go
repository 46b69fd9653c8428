package agent

import (
	"maps"

	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// view is the part of the model that reports speak of, kept as changes come:
// reporting must not walk over a whole cluster.
type view struct {
	node     string
	tiers    map[string]*policy.Tier
	policies map[policy.Key]*policy.Policy
	locals   map[policy.Key]*policy.Endpoint // of this node, with addresses
	states   map[policy.Key]translate.State
	counts   map[kindState]int
}

// kindState is a kind of object and the state that some of it are in.
type kindState struct {
	kind  string
	state translate.State
}

func newView(node string) *view {
	return &view{
		node:  node,
		tiers: map[string]*policy.Tier{}, policies: map[policy.Key]*policy.Policy{}, locals: map[policy.Key]*policy.Endpoint{},
		states: map[policy.Key]translate.State{}, counts: map[kindState]int{},
	}
}

// apply takes in what a translator's step changed.
func (v *view) apply(r translate.Result) {
	for _, c := range r.Changes {
		switch c.Key.Kind {
		case policy.KindTier:
			if t, ok := c.Object.(*policy.Tier); ok {
				v.tiers[t.Name] = t
			} else {
				delete(v.tiers, c.Key.Name)
			}
		default:
			delete(v.policies, c.Key)
			delete(v.locals, c.Key)
			switch o := c.Object.(type) {
			case *policy.Policy:
				v.policies[c.Key] = o
			case *policy.Endpoint:
				if o.Node == v.node && len(o.Addrs) > 0 {
					v.locals[c.Key] = o
				}
			}
		}
	}
	for _, s := range r.Statuses {
		if old := v.states[s.Key]; old != 0 {
			k := kindState{s.Key.Kind, old}
			if v.counts[k]--; v.counts[k] == 0 {
				delete(v.counts, k)
			}
		}
		delete(v.states, s.Key)
		if s.State != 0 {
			v.states[s.Key] = s.State
			v.counts[kindState{s.Key.Kind, s.State}]++
		}
	}
}

// selected gives how many local endpoints a policy applies to, and whether
// there is such a policy.
func (v *view) selected(key policy.Key) (n int, ok bool) {
	p := v.policies[key]
	if p == nil {
		return 0, false
	}
	for _, ep := range v.locals {
		if p.Selector.Match(ep.Labels) {
			n++
		}
	}
	return n, true
}

// action gives what a decider does, which its name does not tell; "unknown" for
// a rule that is just going away.
func (v *view) action(by policy.Decider, dir policy.Direction) string {
	switch {
	case by.Kind == policy.KindProfile && by.Name == "":
		return policy.Deny.String()
	case by.Kind == policy.KindProfile:
		return policy.Allow.String()
	case by.Rule == policy.EndOfTier:
		if t := v.tiers[by.Tier]; t != nil {
			return t.DefaultAction.String()
		}
		return "unknown"
	}
	if p := v.policies[policy.Key{Kind: by.Kind, Namespace: by.Namespace, Name: by.Name}]; p != nil {
		for _, r := range p.Rules[dir] {
			if r.Index == by.Rule {
				return r.Action.String()
			}
		}
	}
	return "unknown"
}

// allCounts gives a copy of the numbers of objects by kind and state.
func (v *view) allCounts() map[kindState]int { return maps.Clone(v.counts) }
