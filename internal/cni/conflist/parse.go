// Package conflist changes CNI configurations as text: it puts one plugin into a list
// or takes it out again, and leaves every other byte as it is.
//
// Configurations belong to other programs, which may compare what they find with what they
// wrote, and to people, who have laid them out. So nothing is decoded and encoded
// again, and [Remove] after [Add] gives the text that there was before.
package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxSize is the size of a configuration in bytes up to which it is taken for one.
const maxSize = 1 << 20

// span is a part of a text.
type span struct{ start, end int }

// list is where things are in the text of a configuration list.
type list struct {
	text    []byte
	plugins []plugin
	open    int // just behind the bracket that opens the list of plugins
	// versions are those that the configuration may be used with.
	versions []string
	name     string
}

// plugin is one of a list.
type plugin struct {
	span
	kind string // its type
}

func (l *list) of(s span) []byte { return l.text[s.start:s.end] }

// parse finds the plugins of a configuration list.
func parse(text []byte) (*list, error) {
	l := &list{text: text}
	fields, err := l.fields()
	if err != nil {
		return nil, err
	}
	if l.name, err = stringField(fields, "name"); err != nil {
		return nil, err
	}
	if l.name == "" {
		return nil, errors.New(`name: is missing: a configuration list needs one, as in "name": "k8s-pod-network"`)
	}
	if l.versions, err = versions(fields); err != nil {
		return nil, err
	}
	if _, ok := fields["plugins"]; !ok {
		return nil, errors.New("plugins: is missing: expected the list of plugins of a configuration list")
	}
	if len(l.plugins) == 0 {
		return nil, errors.New("plugins: has none: the network's own plugin must be there first")
	}
	return l, nil
}

// fields reads the text's top level, and notes where the plugins are.
func (l *list) fields() (map[string]json.RawMessage, error) {
	if err := syntax(l.text); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(l.text))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, at(l.text, 0, errors.New("expected a JSON object"))
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		offset := int(d.InputOffset())
		if _, twice := fields[key]; twice {
			return nil, at(l.text, offset, fmt.Errorf("%q is there twice", key))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		fields[key] = value
		if key == "plugins" {
			if err := l.findPlugins(span{int(d.InputOffset()) - len(value), int(d.InputOffset())}); err != nil {
				return nil, err
			}
		}
	}
	return fields, nil
}

// findPlugins notes where the elements of an array are.
func (l *list) findPlugins(array span) error {
	d := json.NewDecoder(bytes.NewReader(l.of(array)))
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return at(l.text, array.start, errors.New("plugins: expected an array"))
	}
	l.open = array.start + int(d.InputOffset())
	for i := 0; d.More(); i++ {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		end := array.start + int(d.InputOffset())
		p := plugin{span: span{end - len(value), end}}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(value, &fields); err != nil || fields == nil {
			return at(l.text, p.start, fmt.Errorf("plugins[%d]: expected an object", i))
		}
		var err error
		if p.kind, err = stringField(fields, "type"); err != nil {
			return at(l.text, p.start, fmt.Errorf("plugins[%d].%w", i, err))
		}
		if p.kind == "" {
			return at(l.text, p.start, fmt.Errorf("plugins[%d].type: is missing: expected the name of a plugin", i))
		}
		l.plugins = append(l.plugins, p)
	}
	return nil
}

func stringField(fields map[string]json.RawMessage, name string) (string, error) {
	raw, ok := fields[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("%s: expected a string", name)
	}
	return *s, nil
}

func versions(fields map[string]json.RawMessage) ([]string, error) {
	var all []string
	one, err := stringField(fields, "cniVersion")
	if err != nil {
		return nil, err
	}
	if raw, ok := fields["cniVersions"]; ok {
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, errors.New("cniVersions: expected an array of strings")
		}
	}
	if one != "" {
		all = append(all, one)
	}
	return all, nil
}

// syntax says where a text is not JSON.
func syntax(text []byte) error {
	if len(text) > maxSize {
		return fmt.Errorf("has %d bytes: no CNI configuration has more than %d", len(text), maxSize)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("is empty: expected a JSON object")
	}
	var all json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	err := d.Decode(&all)
	if err == nil {
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			end := bytes.Index(text, all) + len(all)
			end += len(text[end:]) - len(bytes.TrimLeft(text[end:], " \t\r\n"))
			return at(text, end, errors.New("something stands behind the end of the JSON object"))
		}
		return nil
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return at(text, int(wrong.Offset)-1, fmt.Errorf("is not JSON: %w", err))
	}
	return at(text, len(text), fmt.Errorf("is not JSON: %w", err)) // it ends too early
}

// at puts the place in the text before an error.
func at(text []byte, offset int, err error) error {
	offset = min(max(offset, 0), len(text))
	before := text[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := offset - (bytes.LastIndexByte(before, '\n') + 1) + 1
	return &PlaceError{Line: line, Column: column, Err: err}
}

// PlaceError is an error at a place in a text. Line and Column count from 1, the
// column in bytes.
type PlaceError struct {
	Line, Column int
	Err          error
}

func (e *PlaceError) Error() string {
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

func (e *PlaceError) Unwrap() error { return e.Err }
