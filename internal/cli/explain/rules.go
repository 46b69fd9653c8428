package explain

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// sourceRule is the trace of one rule as it was written. The model may hold
// several rules for it, one for each alternative (as many as a Kubernetes rule
// has peers, for example); it matched if one of them did.
type sourceRule struct {
	policy.RuleTrace
	mismatches []*policy.Mismatch // why each alternative did not match, each reason once
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
			last.Matched, last.mismatches = true, nil
		} else if !last.Matched && !slices.ContainsFunc(last.mismatches, func(m *policy.Mismatch) bool { return m.String() == r.Mismatch.String() }) {
			last.mismatches = append(last.mismatches, r.Mismatch)
		}
	}
	return merged
}

// whys returns the reasons as sentences.
func (r sourceRule) whys() []string {
	var sentences []string
	for _, m := range r.mismatches {
		sentences = append(sentences, m.String())
	}
	return sentences
}
