package dns

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// MissedAlias is a question that a set may have meant and does not: it was for a name
// that no domain holds, and led by aliases to a name that one holds. Such an answer
// teaches nothing: who runs the zone of the name that was asked for says where it leads.
type MissedAlias struct {
	Asked, Alias string
	Seen         time.Time // last
}

// String says what would be right.
func (m MissedAlias) String() string {
	return fmt.Sprintf("asked as %s, alias of %s, which teaches nothing of %[2]s: name %[1]s", m.Asked, m.Alias)
}

const (
	maxMissed         = 256
	maxMissedForAlias = 16 // names that were asked for, of one alias
)

// missedAliases are the last ones of which an answer told.
type missedAliases struct {
	seen    map[MissedAlias]time.Time // by the names alone
	byAlias map[string]int
}

func newMissedAliases() missedAliases {
	return missedAliases{seen: map[MissedAlias]time.Time{}, byAlias: map[string]int{}}
}

// NoteAliases takes in by which aliases an answer leads from the name that was asked for
// to addresses. What nobody could have meant is passed over.
func (t *Table) NoteAliases(asked string, aliases []string, now time.Time) {
	for _, alias := range aliases {
		if t.isMissed(asked, alias) {
			t.missed.add(MissedAlias{Asked: asked, Alias: alias}, now)
		}
	}
}

// isMissed reports whether a set has a domain that holds an alias, and none that holds
// the name that was asked for.
func (t *Table) isMissed(asked, alias string) bool {
	of := t.sets.holding(alias, nil)
	if len(of) == 0 {
		return false
	}
	has := t.sets.holding(asked, nil)
	return slices.ContainsFunc(of, func(s *learnedSet) bool { return !slices.Contains(has, s) })
}

// add notes one, at the expense of the one that was seen first if there are too many.
func (m *missedAliases) add(k MissedAlias, now time.Time) {
	if _, known := m.seen[k]; !known {
		switch {
		case m.byAlias[k.Alias] >= maxMissedForAlias:
			m.dropFirst(func(x MissedAlias) bool { return x.Alias == k.Alias })
		case len(m.seen) >= maxMissed:
			m.dropFirst(func(MissedAlias) bool { return true })
		}
		m.byAlias[k.Alias]++
	}
	m.seen[k] = now
}

func (m *missedAliases) dropFirst(among func(MissedAlias) bool) {
	var first MissedAlias
	for k, at := range m.seen {
		if among(k) && (first.Asked == "" || at.Before(m.seen[first])) {
			first = k
		}
	}
	delete(m.seen, first)
	if m.byAlias[first.Alias]--; m.byAlias[first.Alias] == 0 {
		delete(m.byAlias, first.Alias)
	}
}

// MissedAliases returns the last ones, by the alias and what was asked for; those that
// domains in use hold by now are left out.
func (t *Table) MissedAliases() []MissedAlias {
	var out []MissedAlias
	for k, at := range t.missed.seen {
		if t.isMissed(k.Asked, k.Alias) {
			k.Seen = at
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b MissedAlias) int {
		if c := strings.Compare(a.Alias, b.Alias); c != 0 {
			return c
		}
		return strings.Compare(a.Asked, b.Asked)
	})
	return out
}
