package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
)

// Problem is one thing wrong with an object.
type Problem struct {
	field       string // as in "spec.ingress[2].ports[0]"
	message     string // what is wrong and what would be right
	missing     string // the field whose absence is at fault; empty if none is
	failsClosed bool   // the object is in force all the same: see store.Finding.FailClosed
	isSize      bool   // it is valid but for its size
}

// Problems collects what is wrong with one object. Checks go on past the first
// problem, so that a user sees all of them at once.
type Problems []Problem

func (ps *Problems) add(field, format string, args ...any) {
	*ps = append(*ps, Problem{field: field, message: fmt.Sprintf(format, args...)})
}

// lacks is add where another field is missing, or something in it.
func (ps *Problems) lacks(missing, field, format string, args ...any) {
	*ps = append(*ps, Problem{field: field, message: fmt.Sprintf(format, args...), missing: missing})
}

// Without leaves out what only follows from fields that could not be read: what
// is said of such a field, and that it, or something in it, is missing.
func (ps Problems) Without(unread []string) Problems {
	return slices.DeleteFunc(ps, func(p Problem) bool {
		return slices.ContainsFunc(unread, func(f string) bool {
			if p.missing != "" && (isInside(p.missing, f) || isInside(f, p.missing)) {
				return true
			}
			return isInside(p.field, f)
		})
	})
}

// isInside reports whether a field is another one or a part of it.
func isInside(field, of string) bool {
	rest, found := strings.CutPrefix(field, of)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Findings returns the problems with their places.
func (ps Problems) Findings(r *store.Resource) []store.Finding {
	if len(ps) == 0 {
		return nil
	}
	out := make([]store.Finding, 0, len(ps))
	for _, p := range ps {
		f := r.At(p.field, "%s", p.message)
		f.FailClosed = p.failsClosed
		out = append(out, f)
	}
	slices.SortStableFunc(out, store.Finding.Compare)
	return out
}

// Invalid reports whether something is wrong that keeps the object from being in force.
func (ps Problems) Invalid() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return !p.failsClosed })
}

// at returns the field of an element: at("spec.nets", 2) is "spec.nets[2]".
func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
