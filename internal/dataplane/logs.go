package dataplane

import (
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Logs are rules with action Log, in the order in which a connection meets them.
// It is a string so that deciders can be compared; a name never holds what parts it.
type Logs string

const (
	endOfLog   = "\n"
	endOfField = "\t"
)

// LogsOf returns the rules as Logs. A rule that several rules of the model stand
// for is there once.
func LogsOf(rules []policy.Decider) Logs {
	var b strings.Builder
	for i, r := range rules {
		if i > 0 && r == rules[i-1] {
			continue
		}
		b.WriteString(strings.Join([]string{r.Tier, r.Kind, r.Namespace, r.Name, strconv.Itoa(r.Rule)}, endOfField))
		b.WriteString(endOfLog)
	}
	return Logs(b.String())
}

// All returns the rules.
func (l Logs) All() []policy.Decider {
	var rules []policy.Decider
	for line := range strings.SplitSeq(strings.TrimSuffix(string(l), endOfLog), endOfLog) {
		if r, ok := parseLog(line); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

// At returns one of the rules that All returns, and reads no other: it is asked for each
// packet that is logged, and there may be hundreds.
func (l Logs) At(i int) (policy.Decider, bool) {
	rest := string(l)
	for ; i > 0 && rest != ""; i-- {
		_, rest, _ = strings.Cut(rest, endOfLog)
	}
	line, _, _ := strings.Cut(rest, endOfLog)
	if i < 0 {
		return policy.Decider{}, false
	}
	return parseLog(line)
}

func parseLog(line string) (policy.Decider, bool) {
	f := strings.Split(line, endOfField)
	if len(f) != 5 {
		return policy.Decider{}, false // there are none
	}
	rule, err := strconv.Atoi(f[4])
	if err != nil {
		return policy.Decider{}, false
	}
	return policy.Decider{Tier: f[0], Kind: f[1], Namespace: f[2], Name: f[3], Rule: rule}, true
}
