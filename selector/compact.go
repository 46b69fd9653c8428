package selector

import "strings"

// Compact returns an equal selector that holds one string, its text, and nothing of
// what it was made of: for whoever keeps very many. One that is so already is
// returned as it is.
func (s *Selector) Compact() *Selector {
	if s.compact || s == allSelector || s == globalSelector {
		return s
	}
	t := &Selector{text: strings.Clone(s.String()), compact: true}
	words := cutter{text: t.text, rest: t.text}
	t.root = words.node(&s.root)
	return t
}

// cutter finds the keys and values of a tree in its text, from left to right.
type cutter struct {
	text, rest string
}

// node copies a node with all that is below it.
func (c *cutter) node(n *node) node {
	out := node{op: n.op, key: c.part(n.key), value: c.part(n.value)}
	if n.list == nil {
		return out
	}
	out.list = &list{}
	if n.values != nil {
		out.values = make([]string, len(n.values))
		for i, v := range n.values {
			out.values[i] = c.part(v)
		}
	}
	if n.kids != nil {
		out.kids = make([]node, len(n.kids))
		for i := range n.kids {
			out.kids[i] = c.node(&n.kids[i])
		}
	}
	return out
}

// part returns the first place of a word in the rest of the text: its own or one of
// the same letters before it, so that what follows it is still to come.
func (c *cutter) part(word string) string {
	i := strings.Index(c.rest, word)
	if i < 0 { // only a constructed selector is not written as it is
		return strings.Clone(word)
	}
	found := c.rest[i : i+len(word)]
	c.rest = c.rest[i+len(word):]
	return found
}
