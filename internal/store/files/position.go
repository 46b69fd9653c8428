package files

import (
	"fmt"
	"strconv"
	"strings"
)

// position tells where the fields of an object stand. It keeps lines only, not
// the parsed text: a twentieth of its size.
type position struct {
	file string
	line int32  // of the object, from 1; those of root count from it
	root *field // shared with objects that are written alike
}

// field is one field, or element of a list, and what it holds.
type field struct {
	name   string // of a field; empty for an element
	line   int32
	inside []field
}

// Position implements store.Origin.
func (p *position) Position(path string) (file string, line int) {
	at := p.root
	for path != "" {
		next := at.next(&path)
		if next == nil {
			break
		}
		at = next
	}
	return p.file, int(p.line + at.line)
}

// next goes one field or element into f and cuts it off the path; nil if it was
// not written.
func (f *field) next(path *string) *field {
	rest := strings.TrimPrefix(*path, ".")
	if index, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(rest, "[") {
		i, err := strconv.Atoi(index[1:])
		if err != nil || i < 0 || i >= len(f.inside) {
			return nil
		}
		*path = after
		return &f.inside[i]
	}
	// The longest name wins: the keys of labels hold dots and brackets too.
	var best *field
	for i := range f.inside {
		name := f.inside[i].name
		after, found := strings.CutPrefix(rest, name)
		ends := after == "" || after[0] == '.' || after[0] == '['
		if name != "" && found && ends && (best == nil || len(name) > len(best.name)) {
			best = &f.inside[i]
		}
	}
	if best != nil {
		*path = rest[len(best.name):]
	}
	return best
}

// String returns "file:line" of the object.
func (p *position) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }
