package modeltest

import (
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// profileNames are the names of the profiles that models may have.
var profileNames = []string{"p", "q", policy.NamespaceProfile("blue")}

// drawProfile draws a profile.
func drawProfile(t *rapid.T, key policy.Key) *policy.Policy {
	p := &policy.Policy{Key: key, Selector: selector.Not(selector.All()), Types: [2]bool{true, true}}
	for _, dir := range policy.Directions {
		rules := some(t, 1, 3, "rules", func() policy.Rule {
			r := drawRule(t)
			switch below(t, 4, "of any peer") {
			case 0:
				return policy.Rule{Action: r.Action}
			case 1, 2:
				return policy.Rule{Action: r.Action, Protocol: r.Protocol}
			}
			return r
		})
		if chance(t, 20, "no rules") {
			rules = nil
		}
		for i := range rules {
			rules[i].Index = i
		}
		p.Rules[dir] = rules
	}
	return p
}

// drawProfiles draws which profiles an endpoint names, also some that are not there.
func drawProfiles(t *rapid.T, usual []string) []string {
	switch below(t, 10, "profiles") {
	case 0, 1:
		return nil
	case 2, 3, 4, 5:
		names := append([]string{"p", "q", "p", "q", "p", "q", "p", "q", "none", "kns.blue", policy.DefaultAllowProfile}, usual...)
		return some(t, 1, 3, "profiles", func() string { return one(t, names, "profile") })
	}
	return usual
}
