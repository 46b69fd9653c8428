package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// JSON is parsed into the same nodes as YAML, with a parser of its own: YAML
// does not read all JSON (tabs, pairs of surrogates), and reads it slowly.

// maxDepth bounds how deep values may nest.
const maxDepth = 200

// jsonParser makes nodes of JSON.
type jsonParser struct {
	text    []byte
	decoder *json.Decoder
	// item takes the items of a list, which are then in no node; nil: they are in its node.
	item    func(*yaml.Node)
	lists   int // that item was called for
	line    int // of the byte at counted
	counted int
}

// parseJSON parses the values of a JSON file, one after the other. On an error
// it gives those before it, too.
func parseJSON(text []byte) parsed {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	p := &jsonParser{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	p.decoder.UseNumber()
	var out parsed
	if out.err = badUTF8(text); out.err != nil {
		return out
	}
	for {
		token, err := p.decoder.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		var n *yaml.Node
		if err == nil {
			n, err = p.value(token, 0)
		}
		if err != nil {
			out.err = p.syntaxError(err)
			return out
		}
		out.roots = append(out.roots, n)
	}
}

func (p *jsonParser) syntaxError(err error) *syntaxError {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		p.countTo(int(syntax.Offset))
	} else {
		p.countTo(int(p.decoder.InputOffset()))
	}
	message := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		message = "ends in the middle of a value"
	}
	return &syntaxError{line: p.line, message: "is no JSON: " + message}
}

// countTo sets line to that of the byte before the offset.
func (p *jsonParser) countTo(offset int) {
	offset = min(offset, len(p.text))
	if offset > p.counted {
		p.line += bytes.Count(p.text[p.counted:offset], []byte("\n"))
		p.counted = offset
	}
}

// value makes the node of the value that begins with the token.
func (p *jsonParser) value(token json.Token, depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxDepth)
	}
	p.countTo(int(p.decoder.InputOffset()))
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: p.line}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		return n, p.fill(n, depth)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
		if _, err := t.Int64(); err == nil {
			n.Tag = "!!int"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// itemsOf gives the elements of a list's items away, one by one.
func (p *jsonParser) itemsOf(list *yaml.Node) error {
	p.lists++
	token, err := p.decoder.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return errNotByItem
	}
	for p.decoder.More() {
		if token, err = p.decoder.Token(); err != nil {
			return err
		}
		item, err := p.value(token, 2)
		if err != nil {
			return err
		}
		p.item(item)
	}
	list.Content = append(list.Content, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: p.line})
	_, err = p.decoder.Token()
	return err
}

// fill reads the elements of an array, or the keys and values of an object, up
// to its end.
func (p *jsonParser) fill(n *yaml.Node, depth int) error {
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		child, err := p.value(token, depth+1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
		if p.item != nil && depth == 0 && n.Kind == yaml.MappingNode && len(n.Content)%2 == 1 && child.Value == "items" && p.decoder.More() {
			if err := p.itemsOf(n); err != nil {
				return err
			}
		}
	}
	_, err := p.decoder.Token()
	return err
}
