package cli

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// sourceRule is the trace of one rule as it was written. The model may hold
// several rules for it, one for each alternative (as many as a Kubernetes rule
// has peers, for example); it matched if one of them did.
type sourceRule struct {
	policy.RuleTrace
	whys []string // why each alternative did not match, each reason once
}

// mergeRules puts the traces of one source rule together.
func mergeRules(rules []policy.RuleTrace) []sourceRule {
	var merged []sourceRule
	for _, r := range rules {
		if n := len(merged); n == 0 || merged[n-1].Index != r.Index {
			merged = append(merged, sourceRule{RuleTrace: r})
		}
		last := &merged[len(merged)-1]
		if r.Matched {
			last.Matched, last.whys = true, nil
		} else if !last.Matched && !slices.Contains(last.whys, r.Why) {
			last.whys = append(last.whys, r.Why)
		}
	}
	return merged
}

// why returns all reasons in one line; empty if the rule matched.
func (r sourceRule) why() string { return strings.Join(r.whys, "; ") }
