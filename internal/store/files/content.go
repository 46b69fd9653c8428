package files

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
)

// content is what one file holds.
type content struct {
	file     string
	objects  []*object
	rejected []*rejected
	findings []store.Finding
	// broken says that a part of the file did not parse, so that it is unknown
	// which objects it held.
	broken bool
	// passedOver is how many of its objects and documents decide nothing here.
	passedOver int
}

// object is one object of a file.
type object struct {
	store.Resource
	position *position
	// retained says that the file no longer holds it, or not in this version: it
	// is the last valid one.
	retained bool
	// stored says that it was written in the form in which Calico stores it.
	stored bool
}

// rejected is an object that could not be read in whole.
type rejected struct {
	object
	unread []string
}

// builder makes a content.
type builder struct {
	*content
	opts         *Options
	left         int // nodes that may still be visited
	interner     *interner
	skips        map[string]*skipped
	skippedKinds []string // in the order of their first
	unknown      []*unknownField
	unknownAt    map[unknownKey]*unknownField
}

// skipped counts objects of a kind that is of no concern.
type skipped struct{ count, line int }

// parseContent reads the text of a file.
func parseContent(file string, text []byte, opts *Options) *content {
	return parseContentAs(file, text, opts, strings.EqualFold(filepath.Ext(file), ".json"))
}

// parseContentAs reads a text that is JSON, or else YAML, parts of which may be JSON.
func parseContentAs(file string, text []byte, opts *Options, asJSON bool) *content {
	// A text without aliases has fewer nodes than bytes; aliases may add a little.
	docs := []document{{text, 1}}
	if !asJSON {
		docs = splitYAML(text)
	}
	b := newBuilder(file, len(text), opts)
	if b.take(docs, asJSON, opts.minItems()) != nil {
		b = newBuilder(file, len(text), opts)
		_ = b.take(docs, asJSON, len(text)+1) // no list is that large
	}
	b.notes()
	return b.content
}

func newBuilder(file string, size int, opts *Options) *builder {
	return &builder{content: &content{file: file}, opts: opts, left: 10_000 + 2*size, skips: map[string]*skipped{}, interner: newInterner()}
}

// take takes in the documents of a file, lists from a size on item by item.
func (b *builder) take(docs []document, asJSON bool, list int) error {
	for _, d := range docs {
		// Valid JSON may stand in any file; YAML reads most of it, slowly.
		body := d.text
		isJSON := asJSON
		if !asJSON {
			body = d.body()
			isJSON = isJSONText(body)
		}
		items, byItem := itemList{}, false
		if !isJSON {
			items, byItem = splitItems(d, list)
		}
		switch {
		case isJSON && isJSONList(body, list):
			if err := b.jsonListOf(body, d.firstLine-1); err != nil {
				return err
			}
		case isJSON:
			b.documents(parseJSON(body), d.firstLine-1)
		case byItem:
			if err := b.listOf(&items); err != nil {
				return err
			}
		default:
			b.documents(parseYAML(d), d.firstLine-1)
		}
	}
	return nil
}

// isJSONText tells JSON from YAML: by how it begins, if it then parses as JSON or at
// least not as YAML.
func isJSONText(text []byte) bool {
	first := bytes.TrimLeft(text, " \t\r\n")
	if len(first) == 0 || first[0] != '{' {
		return false
	}
	if json.Valid(text) {
		return true
	}
	first = bytes.TrimLeft(first[1:], " \t\r\n")
	if len(first) == 0 || first[0] != '"' {
		return false // a flow mapping of YAML: its keys need no quotes
	}
	return parseYAML(document{text: text, firstLine: 1}).err != nil
}

// documents takes in what was parsed; base is added to its lines.
func (b *builder) documents(p parsed, base int) {
	for _, root := range p.roots {
		b.document(root, base)
	}
	if p.err != nil {
		b.broken = true
		b.findings = append(b.findings, store.Finding{File: b.file, Line: p.err.line + base, Message: p.err.message})
	}
}

// notes says what was passed over.
func (b *builder) notes() {
	b.unknownFieldNotes()
	for _, what := range b.skippedKinds {
		s := b.skips[what]
		objects := "1 object"
		if s.count > 1 {
			objects = fmt.Sprintf("%d objects", s.count)
		}
		if strings.Contains(what, kustomizeGroup) {
			b.kustomization(s.line)
			continue
		}
		b.note(s.line, "%s of %s passed over: it decides nothing here", objects, what)
	}
}

// fail notes an error of something whose object is unknown, so that it may be
// any of those that the file held before.
func (b *builder) fail(line int, field, format string, args ...any) {
	b.broken = true
	b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) note(line int, format string, args ...any) {
	b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Message: fmt.Sprintf(format, args...), Note: true})
}

func (b *builder) skip(kindText, apiVersion string, line int) {
	what := kindText
	if apiVersion != "" {
		what += " (" + apiVersion + ")"
	}
	s := b.skips[what]
	if s == nil {
		s = &skipped{line: line}
		b.skips[what] = s
		b.skippedKinds = append(b.skippedKinds, what)
	}
	s.count++
	b.passedOver++
}
