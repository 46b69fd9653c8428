package files

import (
	"bytes"
	"encoding/json"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// looksLikeList finds, at the beginning or at the end of a JSON text, that it is a list.
var looksLikeList = regexp.MustCompile(`"kind"\s*:\s*"(\w*)List"`)

// isJSONList reports whether a text is probably one large list. What it is in truth, its end
// says.
func isJSONList(text []byte, least int) bool {
	const near = 512
	return len(text) >= least && (looksLikeList.Match(text[:min(near, len(text))]) || looksLikeList.Match(text[max(0, len(text)-near):]))
}

// jsonListOf takes in a JSON list, item by item: see listOf. What the items are is known by
// themselves; those of which it is not wait for the end.
func (b *builder) jsonListOf(text []byte, base int) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if badUTF8(text) != nil {
		return errNotByItem
	}
	p := &jsonParser{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	p.decoder.UseNumber()
	var waiting []*yaml.Node
	read := int64(0)
	p.item = func(item *yaml.Node) {
		b.opts.progress(p.decoder.InputOffset() - read)
		read = p.decoder.InputOffset()
		if textAt(item, "kind") == "" || textAt(item, "apiVersion") == "" {
			waiting = append(waiting, item)
			return
		}
		b.items(listOfOne(item), "items", "", "", base, 0)
	}
	token, err := p.decoder.Token()
	if err != nil {
		return errNotByItem
	}
	root, err := p.value(token, 0)
	if err != nil || p.decoder.More() {
		return errNotByItem
	}
	of, isList := listKind(root)
	if !isList || p.lists > 1 {
		return errNotByItem
	}
	b.list(root, of, textAt(root, "apiVersion"), base, 0)
	for _, item := range waiting {
		b.items(listOfOne(item), "items", of, textAt(root, "apiVersion"), base, 0)
	}
	return nil
}

func listOfOne(item *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: item.Line, Content: []*yaml.Node{item}}
}
