package files

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"
)

// A dump of a cluster is one list of very many objects. Parsed as a whole it is nodes of
// many times its size, so its items are parsed one by one: what is between the dashes of a
// list that is written as kubectl and people write it is a list of one item. Where that is not
// so, because a text in quotes goes on at the margin or an alias means another item, an item
// does not parse, and the list is parsed as a whole after all.

// minItems is how large a list is that is worth it, in bytes.
const minItems = 1 << 16

// errNotByItem is the error of a list that has to be parsed as a whole.
var errNotByItem = errors.New("the list cannot be parsed item by item")

// itemList is a list, as text.
type itemList struct {
	around document // the list without its items
	header int      // lines of it that stand before the items
	gap    int      // lines that the items have
	items  []document
}

// splitItems cuts a document that is a list of objects into its items.
func splitItems(d document, least int) (itemList, bool) {
	var out itemList
	if len(d.text) < least {
		return out, false
	}
	const key = "items:"
	state, indent := 0, 0
	start, startLine, headerEnd, footer := 0, 0, 0, len(d.text)
	footerLine := 0
	cut := func(end int) {
		out.items = append(out.items, document{d.text[start:end], startLine})
	}
	line := d.firstLine
	for pos := 0; pos < len(d.text); line++ {
		end := len(d.text)
		if i := bytes.IndexByte(d.text[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		text := d.text[pos:end]
		body := bytes.TrimLeft(text, " ")
		isBlank := len(bytes.TrimSpace(body)) == 0 || body[0] == '#'
		column := len(text) - len(body)
		isItem := len(body) > 1 && body[0] == '-' && (body[1] == ' ' || body[1] == '\n' || body[1] == '\r')
		switch {
		case state == 0 && text[0] == '%':
			return out, false // directives are for all of the document
		case state == 0 && bytes.HasPrefix(text, []byte(key)):
			if len(bytes.TrimSpace(text[len(key):])) > 0 {
				return out, false
			}
			state, headerEnd, out.header = 1, pos, line-d.firstLine
		case state == 1 && isBlank:
		case state == 1 && isItem:
			state, indent, start, startLine = 2, column, pos, line
		case state == 1:
			return out, false
		case state == 2 && isBlank:
		case state == 2 && isItem && column == indent:
			cut(pos)
			start, startLine = pos, line
		case state == 2 && column <= indent:
			cut(pos)
			state, footer, footerLine = 3, pos, line
		case state == 3 && bytes.HasPrefix(text, []byte(key)):
			return out, false
		}
		pos = end
	}
	switch state {
	case 2:
		cut(len(d.text))
		footerLine = line
	case 3:
	default:
		return out, false
	}
	out.gap = footerLine - d.firstLine - out.header - 1
	around := append(bytes.Clone(d.text[:headerEnd]), "items: []\n"...)
	out.around = document{append(around, d.text[footer:]...), d.firstLine}
	return out, true
}

// listOf takes in a list, item by item.
func (b *builder) listOf(l *itemList) error {
	around := parseYAML(l.around)
	if around.err != nil || len(around.roots) != 1 {
		return errNotByItem
	}
	root := around.roots[0]
	moveDown(root, l.header+1, l.gap)
	of, isList := listKind(root)
	if !isList {
		return errNotByItem
	}
	base := l.around.firstLine - 1
	b.list(root, of, textAt(root, "apiVersion"), base, 0)
	for _, item := range l.items {
		parsed := parseYAML(item)
		if parsed.err != nil || len(parsed.roots) != 1 || parsed.roots[0].Kind != yaml.SequenceNode || len(parsed.roots[0].Content) != 1 {
			return errNotByItem
		}
		b.opts.progress(int64(len(item.text)))
		b.items(parsed.roots[0], "items", of, textAt(root, "apiVersion"), item.firstLine-1, 0)
	}
	return nil
}

// listKind returns of which kind a list is; empty for a List of any.
func listKind(root *yaml.Node) (of string, isList bool) {
	kindText := textAt(root, "kind")
	if kindText == "List" {
		return "", true
	}
	if n := len(kindText) - len("List"); n > 0 && kindText[n:] == "List" && kinds[kindText[:n]] != nil {
		return kindText[:n], true
	}
	return "", false
}

// moveDown moves nodes that stand below a line further down.
func moveDown(n *yaml.Node, line, by int) {
	if n.Line > line {
		n.Line += by
	}
	for _, child := range n.Content {
		moveDown(child, line, by)
	}
}
