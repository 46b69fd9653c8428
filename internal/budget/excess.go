package budget

import (
	"fmt"
	"strings"
)

// Kind is what an object may need too much of.
type Kind uint8

// The kinds, with the limits of the same name.
const (
	Rules Kind = iota
	Nets
	Ports
	HTTP
	Regions
	Differences
	RowRegions
	SetNets
	SetDomains
)

// kinds is what is said of each kind.
var kinds = [...]struct {
	most   int64
	what   string
	advice string
}{
	Rules:       {MaxRules, "rules (one for each peer and protocol)", "split the policy, or keep nets in a NetworkSet and select it"},
	Nets:        {MaxNets, "nets in rules", fmt.Sprintf("keep them in a NetworkSet, which may have %d, and select it", MaxSetNets)},
	Ports:       {MaxPorts, "ports in rules", "use ranges of ports"},
	HTTP:        {MaxHTTP, "HTTP methods and paths", "use the beginnings that paths have in common"},
	Regions:     {MaxRegions, "combinations of source and destination ports", "use ranges of ports"},
	Differences: {MaxDifferences, "pairs of nets and ports that rules tell apart", "have rules share their lists of nets, or split the policy"},
	RowRegions:  {MaxRowRegions, "ports to decide on for all nets that rules tell apart", "have rules share their lists of nets or ports, or split the policy"},
	SetNets:     {MaxSetNets, "nets", "split the set: a selector may select several"},
	SetDomains:  {MaxSetDomains, "domains", "use wildcards, or split the set: a selector may select several"},
}

// Excess is what an object needs too much of.
type Excess struct {
	Kind Kind
	Amount
}

// Over returns what a policy has too much of; nil if it is within budget.
func (c *Cost) Over() []Excess {
	var out []Excess
	for kind, a := range []Amount{
		Rules: c.Rules, Nets: c.Nets, Ports: c.Ports, HTTP: c.HTTP,
		Regions: c.Regions, Differences: c.Differences, RowRegions: c.RowRegions,
	} {
		if Kind(kind) == RowRegions && c.Regions.N > MaxRegions { //nolint:gosec // there are seven
			break // it follows from that one row has too many
		}
		if a.N > kinds[kind].most {
			out = append(out, Excess{Kind(kind), a}) //nolint:gosec // there are seven
		}
	}
	return out
}

// HasRule reports whether one rule alone needs most of it: only then is it worth naming.
func (e *Excess) HasRule() bool { return e.Share > e.N/2 }

// rule names the rule as manifests have it, as in "ingress[3]".
func (e *Excess) rule() string { return fmt.Sprintf("%s[%d]", e.Dir, e.Rule) }

// Field returns the field that is at fault: the rule that needs most, or the list of rules.
func (e *Excess) Field() string {
	switch {
	case e.Kind == SetNets:
		return "spec.nets"
	case e.Kind == SetDomains:
		return "spec.allowedEgressDomains"
	case e.HasRule():
		return "spec." + e.rule()
	}
	return "spec." + e.Dir.String()
}

// String says what is too much, and what would be right.
func (e Excess) String() string {
	k := &kinds[e.Kind]
	var b strings.Builder
	fmt.Fprintf(&b, "too large: %d %s, of at most %d", e.N, k.what, k.most)
	if e.Kind < SetNets && e.HasRule() {
		b.WriteString(", most of them because of rule " + e.rule())
	}
	b.WriteString(": " + k.advice)
	return b.String()
}
