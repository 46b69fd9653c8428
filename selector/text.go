package selector

import (
	"strconv"
	"strings"
)

// context says what surrounds a node in the text, and so whether it needs
// parentheses.
type context uint8

const (
	looseContext context = iota // at the top, in parentheses, or an operand of ||
	andContext                  // an operand of &&
	notContext                  // after !
)

// appendNode appends the canonical text of a node.
func appendNode(b []byte, n *node, c context) []byte {
	switch n.op {
	case opAll:
		return append(b, "all()"...)
	case opGlobal:
		return append(b, "global()"...)
	case opHas:
		b = append(b, "has("...)
		b = appendKey(b, n.key)
		return append(b, ')')
	case opNot:
		return appendNode(append(b, '!'), &n.kids[0], notContext)
	case opAnd:
		if c == notContext {
			return append(appendKids(append(b, '('), n.kids, " && ", andContext), ')')
		}
		return appendKids(b, n.kids, " && ", andContext)
	case opOr:
		if c != looseContext {
			return append(appendKids(append(b, '('), n.kids, " || ", looseContext), ')')
		}
		return appendKids(b, n.kids, " || ", looseContext)
	}
	// Without the parentheses, !a contains 'x' reads as if "!" were about a.
	if c == notContext {
		return append(appendComparison(append(b, '('), n), ')')
	}
	return appendComparison(b, n)
}

func appendKids(b []byte, kids []node, operator string, c context) []byte {
	for i := range kids {
		if i > 0 {
			b = append(b, operator...)
		}
		b = appendNode(b, &kids[i], c)
	}
	return b
}

func appendComparison(b []byte, n *node) []byte {
	b = appendKey(b, n.key)
	switch n.op {
	case opEquals:
		b = append(b, " == "...)
	case opNotEquals:
		b = append(b, " != "...)
	case opContains:
		b = append(b, " contains "...)
	case opStartsWith:
		b = append(b, " starts with "...)
	case opEndsWith:
		b = append(b, " ends with "...)
	case opIn:
		return appendSet(append(b, " in "...), n.values)
	case opNotIn:
		return appendSet(append(b, " not in "...), n.values)
	}
	return appendValue(b, n.value)
}

func appendSet(b []byte, values []string) []byte {
	b = append(b, '{')
	for i, v := range values {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendValue(b, v)
	}
	return append(b, '}')
}

// appendValue appends a string literal. Literals have no escapes, so a value
// that holds both kinds of quotes, which only a constructed selector can have,
// has none: it is written with Go's escapes. Such a text never parses (its last
// quote opens a string that has no end) and so is never that of another selector.
func appendValue(b []byte, v string) []byte {
	quote := byte('\'')
	if strings.IndexByte(v, '\'') >= 0 {
		if strings.IndexByte(v, '"') >= 0 {
			return strconv.AppendQuote(b, v)
		}
		quote = '"'
	}
	b = append(b, quote)
	b = append(b, v...)
	return append(b, quote)
}

// appendKey appends a label. What is none, which only a constructed selector can
// have, is quoted: no text that parses has a quote there.
func appendKey(b []byte, key string) []byte {
	if !isLabel(key) {
		return strconv.AppendQuote(b, key)
	}
	return append(b, key...)
}
