package selector

import (
	"slices"
	"strings"
)

// op is what a node does.
type op uint8

const (
	opAll op = iota
	opGlobal
	opHas
	opEquals
	opNotEquals
	opIn
	opNotIn
	opContains
	opStartsWith
	opEndsWith
	opNot // of one kid, never a comparison that has an opposite, never a Not
	opAnd // of two kids or more, none of them an And
	opOr  // of two kids or more, none of them an Or

	opNone // no node has it
)

// node is one expression of the tree. Nodes of every kind share this one struct:
// children then lie side by side in memory and matching needs no dynamic calls.
type node struct {
	op    op
	key   string
	value string
	*list // nil for what has neither values nor kids, as most nodes
}

// list is what a node has more than one of.
type list struct {
	values []string // of opIn and opNotIn: sorted, each once
	kids   []node   // of opNot, opAnd and opOr
}

// parent makes a node of kids, with room for n of them.
func parent(op op, n int) node { return node{op: op, list: &list{kids: make([]node, 0, n)}} }

// set makes a comparison with values, a sorted set.
func set(op op, key string, values []string) node {
	return node{op: op, key: key, list: &list{values: values}}
}

// adopt appends a child to an And or Or. One of the same kind hands over its own
// children, since a && (b && c) is a && b && c.
func (n *node) adopt(kid node) {
	if kid.op == n.op {
		n.kids = append(n.kids, kid.kids...)
		return
	}
	n.kids = append(n.kids, kid)
}

// negate returns the opposite of a node in canonical form.
func negate(n node) node {
	switch n.op {
	case opEquals:
		n.op = opNotEquals
	case opNotEquals:
		n.op = opEquals
	case opIn:
		n.op = opNotIn
	case opNotIn:
		n.op = opIn
	case opNot:
		return n.kids[0]
	default:
		not := parent(opNot, 1)
		not.kids = append(not.kids, n)
		return not
	}
	return n
}

// sortedSet returns the values sorted and each once, in a slice of its own.
func sortedSet(values []string) []string {
	set := slices.Clone(values)
	slices.Sort(set)
	return slices.Compact(set)
}

// uses reports whether a node of that kind occurs.
func (n *node) uses(op op) bool {
	if n.op == op {
		return true
	}
	if n.list == nil {
		return false
	}
	for i := range n.kids {
		if n.kids[i].uses(op) {
			return true
		}
	}
	return false
}

func (n *node) match(ls Labels) bool {
	switch n.op {
	case opAll:
		return true
	case opGlobal:
		_, ok := ls.Get(NamespaceLabel)
		return !ok
	case opNot:
		return !n.kids[0].match(ls)
	case opAnd:
		for i := range n.kids {
			if !n.kids[i].match(ls) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.kids {
			if n.kids[i].match(ls) {
				return true
			}
		}
		return false
	}
	value, ok := ls.Get(n.key)
	switch n.op {
	case opHas:
		return ok
	case opEquals:
		return ok && value == n.value
	case opNotEquals:
		return !ok || value != n.value
	case opIn:
		return ok && contains(n.values, value)
	case opNotIn:
		return !ok || !contains(n.values, value)
	case opContains:
		return ok && strings.Contains(value, n.value)
	case opStartsWith:
		return ok && strings.HasPrefix(value, n.value)
	case opEndsWith:
		return ok && strings.HasSuffix(value, n.value)
	}
	return false
}

// contains reports whether a sorted set has the value.
func contains(set []string, value string) bool {
	if len(set) > 8 {
		_, ok := slices.BinarySearch(set, value)
		return ok
	}
	// Unequal lengths decide most comparisons of a short list at once.
	return slices.Contains(set, value)
}
