package dns

import (
	"fmt"
	"net/netip"
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
	seen    map[MissedAlias]sighting // by the names alone
	byAlias map[string]int
}

// sighting is when an answer told of one, and the namespace of its client.
type sighting struct {
	at        time.Time
	namespace string
}

func newMissedAliases() missedAliases {
	return missedAliases{seen: map[MissedAlias]sighting{}, byAlias: map[string]int{}}
}

// NoteAliases takes in by which aliases an answer leads from the name that was asked for
// to addresses, in an answer to a client. What nobody could have meant is passed over.
func (t *Table) NoteAliases(asked string, aliases []string, to netip.Addr, now time.Time) {
	for _, alias := range aliases {
		if t.isMissed(asked, alias) {
			t.missed.add(MissedAlias{Asked: asked, Alias: alias}, sighting{now, t.shares.namespaceOf(to)})
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

// add notes one. If there are too many, it is at the expense of the namespace that has
// most of them, of which the one goes that was seen first.
func (m *missedAliases) add(k MissedAlias, seen sighting) {
	if _, known := m.seen[k]; !known {
		switch {
		case m.byAlias[k.Alias] >= maxMissedForAlias:
			m.dropFirst(func(x MissedAlias) bool { return x.Alias == k.Alias })
		case len(m.seen) >= maxMissed:
			m.dropFirst(func(MissedAlias) bool { return true })
		}
		m.byAlias[k.Alias]++
	}
	m.seen[k] = seen
}

func (m *missedAliases) dropFirst(among func(MissedAlias) bool) {
	have := map[string]int{}
	for k, s := range m.seen {
		if among(k) {
			have[s.namespace]++
		}
	}
	var first MissedAlias
	for k, s := range m.seen {
		if !among(k) {
			continue
		}
		before := m.seen[first]
		less := have[s.namespace] - have[before.namespace]
		if first.Asked == "" || less > 0 || less == 0 && s.at.Before(before.at) {
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
	for k, s := range t.missed.seen {
		if t.isMissed(k.Asked, k.Alias) {
			k.Seen = s.at
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
