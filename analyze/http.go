package analyze

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Rules about HTTP requests all allow. So of a connection exactly those requests
// are allowed that one of them matches which is asked before another rule, or the
// end of a tier, decides about the connection, and all requests if that one allows.
//
// The engine has a way to tell which rules are asked before: it is what rules with
// action Log are. So they stand as such in the model that it is given, under the
// numbers of their requests.

// httpRules is the requests of the rules of a model, by number.
type httpRules struct {
	interner[requests]
}

// withoutHTTP returns the policies of a model with its rules about requests as rules
// that log, and without those that do log; nil if the model has no such rules.
func (h *httpRules) withoutHTTP(policies []*policy.Policy) []*policy.Policy {
	narrows := func(r policy.Rule) bool { return r.HTTP != nil }
	if !slices.ContainsFunc(policies, func(p *policy.Policy) bool {
		return slices.ContainsFunc(p.Rules[0], narrows) || slices.ContainsFunc(p.Rules[1], narrows)
	}) {
		return nil
	}
	h.interner = newInterner((*requests).hash, func(a, b *requests) bool { return a.compare(*b) == 0 })
	out := slices.Clone(policies)
	for i, p := range out {
		v := *p
		for dir, rules := range p.Rules {
			v.Rules[dir] = nil
			for _, r := range rules {
				switch {
				case r.Action == policy.Log:
					continue
				case r.HTTP != nil && r.Action == policy.Allow:
					if some := matchOf(r.HTTP); !some.all() {
						r.Action, r.Index = policy.Log, int(h.number(some))
					}
				}
				r.HTTP = nil
				v.Rules[dir] = append(v.Rules[dir], r)
			}
		}
		out[i] = &v
	}
	return out
}

// of returns the requests that rules match which are asked before a decider; a list
// of none if there are no such rules.
func (h *httpRules) of(d dataplane.Decider) requests {
	r := requests{}
	if h.values == nil {
		return r
	}
	for _, by := range d.Logs.All() {
		r = r.or(h.values[by.Rule])
	}
	return r
}
