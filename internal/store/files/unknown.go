package files

import (
	"fmt"
	"regexp"

	"github.com/tierwall/tierwall/internal/store"
)

// unknownKey tells fields apart that one note speaks of: all pods of a newer cluster have
// the same field that is not known here.
type unknownKey struct{ kind, path string }

// unknownField is a field that a kind does not have, with how many objects have it.
type unknownField struct {
	first   store.Finding
	last    *object // that was counted
	objects int
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// unknownField counts an unknown field that is no error.
func (b *builder) unknownField(o *object, p *fieldProblem) {
	key := unknownKey{o.Key.Kind, indexes.ReplaceAllString(p.path, "[]")}
	u := b.unknownAt[key]
	if u == nil {
		u = &unknownField{first: store.Finding{File: b.file, Line: p.line, Key: o.Key, Field: p.path, Message: p.message, Note: true}}
		if b.unknownAt == nil {
			b.unknownAt = map[unknownKey]*unknownField{}
		}
		b.unknownAt[key] = u
		b.unknown = append(b.unknown, u)
	}
	if u.last != o {
		u.last = o
		u.objects++
	}
}

func (b *builder) unknownFieldNotes() {
	for _, u := range b.unknown {
		f := u.first
		if n := u.objects - 1; n > 0 {
			f.Message += fmt.Sprintf(" (and in %d more)", n)
		}
		b.findings = append(b.findings, f)
	}
}
