package selector

import (
	"slices"
	"strings"
)

// Requirement is a necessary condition of a match: the key is present and, if
// Values is not nil, has one of the values. Empty Values that are not nil can
// not be met: the selector matches nothing.
type Requirement struct {
	Key    string
	Values []string // sorted, each once
}

// Met reports whether the labels meet the requirement.
func (r Requirement) Met(ls Labels) bool {
	value, ok := ls.Get(r.Key)
	return ok && (r.Values == nil || contains(r.Values, value))
}

// Requirements returns conditions that every match meets, for an index to find the
// candidates by: labels that miss one of them cannot match. They are sorted by
// key, each key once, and need not suffice for a match. None at all means that
// nothing can be said, as of all() or a != 'x'. A selector seen to match nothing
// has one requirement, with Values empty but not nil.
func (s *Selector) Requirements() []Requirement {
	return s.root.require(false).list()
}

// conditions are requirements on their way up the tree.
type conditions struct {
	never bool // nothing can match; key is a key that shows it, or empty
	key   string
	reqs  []Requirement // sorted by key, each key once; none if never
}

func (c conditions) list() []Requirement {
	if c.never {
		// No label has an empty key, so that this holds without one as well.
		return []Requirement{{Key: c.key, Values: []string{}}}
	}
	return c.reqs
}

// present asks for the key with any value.
func present(key string) conditions {
	return conditions{reqs: []Requirement{{Key: key}}}
}

// oneOf asks for the key with one of the values, a sorted set.
func oneOf(key string, values []string) conditions {
	if len(values) == 0 {
		return conditions{never: true, key: key}
	}
	return conditions{reqs: []Requirement{{Key: key, Values: values}}}
}

// require returns the conditions of a node, or of its opposite.
func (n *node) require(negated bool) conditions {
	switch n.op {
	case opAll:
		return conditions{never: negated}
	case opNot:
		return n.kids[0].require(!negated)
	case opAnd, opOr:
		// De Morgan: the opposite of an Or asks for the opposites of all.
		if (n.op == opAnd) != negated {
			return n.requireAll(negated)
		}
		return n.requireAny(negated)
	case opGlobal, opNotEquals, opNotIn: // an absent label satisfies them
		if !negated {
			return conditions{}
		}
	default: // an absent label satisfies their opposites
		if negated {
			return conditions{}
		}
	}
	switch n.op {
	case opGlobal:
		return present(NamespaceLabel)
	case opEquals, opNotEquals:
		return oneOf(n.key, []string{n.value})
	case opIn, opNotIn:
		return oneOf(n.key, slices.Clone(n.values))
	}
	return present(n.key)
}

// requireAll joins the conditions of children that all have to match: every
// condition counts, and values asked for twice have to be in both.
func (n *node) requireAll(negated bool) conditions {
	var all []Requirement
	for i := range n.kids {
		c := n.kids[i].require(negated)
		if c.never {
			return c
		}
		all = append(all, c.reqs...)
	}
	slices.SortStableFunc(all, byKey)
	var out []Requirement
	for _, r := range all {
		if len(out) == 0 || out[len(out)-1].Key != r.Key {
			out = append(out, r)
			continue
		}
		last := &out[len(out)-1]
		switch {
		case last.Values == nil:
			last.Values = r.Values
		case r.Values != nil:
			last.Values = slices.DeleteFunc(last.Values, func(v string) bool {
				return !contains(r.Values, v)
			})
			if len(last.Values) == 0 {
				return conditions{never: true, key: r.Key}
			}
		}
	}
	return conditions{reqs: out}
}

// requireAny joins the conditions of children of which one has to match: only
// what each of them asks for in some way is asked for by all.
func (n *node) requireAny(negated bool) conditions {
	var out []Requirement
	var impossible conditions
	possible := 0
	for i := range n.kids {
		c := n.kids[i].require(negated)
		if c.never {
			impossible = c
			continue
		}
		possible++
		if possible == 1 {
			out = c.reqs
			continue
		}
		out = eitherOf(out, c.reqs)
	}
	if possible == 0 {
		return impossible
	}
	// Values were only collected so far: sorting once keeps a long || linear.
	for i := range out {
		slices.Sort(out[i].Values)
		out[i].Values = slices.Compact(out[i].Values)
	}
	if len(out) == 0 {
		return conditions{}
	}
	return conditions{reqs: out}
}

// eitherOf keeps the keys that both lists have, with the values of both,
// unsorted. It uses the memory of the first.
func eitherOf(a, b []Requirement) []Requirement {
	out := a[:0]
	for len(a) > 0 && len(b) > 0 {
		switch order := byKey(a[0], b[0]); {
		case order < 0:
			a = a[1:]
		case order > 0:
			b = b[1:]
		default:
			r := a[0]
			if r.Values == nil || b[0].Values == nil {
				r.Values = nil
			} else {
				r.Values = append(r.Values, b[0].Values...)
			}
			out = append(out, r)
			a, b = a[1:], b[1:]
		}
	}
	return out
}

func byKey(a, b Requirement) int { return strings.Compare(a.Key, b.Key) }
