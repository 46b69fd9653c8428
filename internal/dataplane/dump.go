package dataplane

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// String dumps the tables as text, for people and for golden tests: one line
// per entry, sorted, so that equal states have equal texts.
func (s *State) String() string {
	var b strings.Builder
	for _, d := range s.Deciders() {
		fmt.Fprintf(&b, "decider d%d %v %s\n", d.ID, d.Direction, DeciderText(d.By))
	}
	for _, id := range sortedKeys(s.rows) {
		fmt.Fprintf(&b, "row r%d\n", id)
		for _, g := range s.rows[id].row {
			fmt.Fprintf(&b, "  %v\n", g)
		}
	}
	for _, id := range sortedKeys(s.programs) {
		p := s.programs[id]
		fmt.Fprintf(&b, "program p%d base r%d\n", id, p.Base)
		for _, class := range sortedKeys(p.Cells) {
			fmt.Fprintf(&b, "  c%d r%d\n", class, p.Cells[class])
		}
	}
	for _, l := range s.Locals() {
		fmt.Fprintf(&b, "local %v", l.Addr)
		for _, dir := range policy.Directions {
			if id := l.Program(dir); id != 0 {
				fmt.Fprintf(&b, " %v p%d", dir, id)
			}
		}
		if l.ToNode != 0 {
			fmt.Fprintf(&b, " to-node p%d", l.ToNode)
		}
		if l.Interface != "" {
			fmt.Fprintf(&b, " interface %s", l.Interface)
		}
		b.WriteByte('\n')
	}
	s.dumpHosts(&b)
	for _, id := range s.Classes() {
		fmt.Fprintf(&b, "class c%d\n", id)
	}
	addrs := maps.Collect(s.Addrs())
	for _, a := range slices.SortedFunc(maps.Keys(addrs), netip.Addr.Compare) {
		fmt.Fprintf(&b, "addr %v c%d\n", a, addrs[a])
	}
	for p, class := range s.nets.AllSorted() {
		fmt.Fprintf(&b, "net %v c%d\n", p, class)
	}
	return b.String()
}

// DeciderText names what decided in one line: "default/NetworkPolicy web/db rule 0".
func DeciderText(by policy.Decider) string {
	if by == (policy.Decider{}) {
		return "no rule"
	}
	name := by.Name
	if by.Namespace != "" {
		name = by.Namespace + "/" + name
	}
	text := by.Kind + " " + name
	if by.Tier != "" {
		text = by.Tier + "/" + text
	}
	if by.Rule == policy.EndOfTier {
		return text + " end"
	}
	return fmt.Sprint(text, " rule ", by.Rule)
}
