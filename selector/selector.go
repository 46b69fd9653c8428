package selector

// Limits of what Parse accepts. They keep a hostile text from costing more than
// its own size in time, memory and stack.
const (
	// MaxTextLen is the greatest length of a selector in bytes, as written and
	// in canonical form. An object in Kubernetes' etcd may hold 1.5 MiB.
	MaxTextLen = 1 << 20
	// MaxLabelLen is the greatest length of a label's key in bytes.
	MaxLabelLen = 512
	// MaxDepth is how deep parentheses may nest. A comparison after "!" counts
	// as one level.
	MaxDepth = 256
)

// Selector is a parsed selector. It is immutable and safe for concurrent use.
// The zero value is all().
type Selector struct {
	root    node
	text    string // canonical
	compact bool   // made by Compact
}

var (
	allSelector    = &Selector{root: node{op: opAll}, text: "all()"}
	globalSelector = &Selector{root: node{op: opGlobal}, text: "global()"}
)

// newSelector finishes a canonical tree.
func newSelector(root node) *Selector {
	return &Selector{root: root, text: string(appendNode(make([]byte, 0, 64), &root, looseContext))}
}

// MustParse is Parse for texts known to be right, such as constants; it panics
// on others.
func MustParse(text string) *Selector {
	s, err := Parse(text)
	if err != nil {
		panic("selector " + text + ": " + err.Error())
	}
	return s
}

// All returns all(), which matches everything.
func All() *Selector { return allSelector }

// Has matches labels that have the key.
func Has(key string) *Selector { return newSelector(node{op: opHas, key: key}) }

// Equals matches labels that have the key with that value.
func Equals(key, value string) *Selector {
	return newSelector(node{op: opEquals, key: key, value: value})
}

// NotEquals matches labels that have the key with another value, or not at all.
func NotEquals(key, value string) *Selector {
	return newSelector(node{op: opNotEquals, key: key, value: value})
}

// In matches labels that have the key with one of the values; without any
// value it matches nothing.
func In(key string, values ...string) *Selector {
	return newSelector(set(opIn, key, sortedSet(values)))
}

// NotIn matches labels that have the key with none of the values, or not at all.
func NotIn(key string, values ...string) *Selector {
	return newSelector(set(opNotIn, key, sortedSet(values)))
}

// Not matches what s does not match.
func Not(s *Selector) *Selector { return newSelector(negate(s.root)) }

// And matches what all of them match. It leaves all() out; And() is all().
//
// all() and global() are given another meaning by [Selector.Rewrite]: rewrite
// first, then combine.
func And(selectors ...*Selector) *Selector { return combine(opAnd, opAll, selectors) }

// Or matches what at least one of them matches; Or() matches nothing. An
// operand all() makes the whole all(): see And.
func Or(selectors ...*Selector) *Selector {
	for _, s := range selectors {
		if s.IsAll() {
			return All()
		}
	}
	if len(selectors) == 0 {
		return Not(All())
	}
	return combine(opOr, opNone, selectors)
}

// combine joins selectors by && or ||, without those that are just the neutral
// operand.
func combine(op, neutral op, selectors []*Selector) *Selector {
	kept := make([]*Selector, 0, len(selectors))
	for _, s := range selectors {
		if s.root.op != neutral {
			kept = append(kept, s)
		}
	}
	switch len(kept) {
	case 0:
		return All()
	case 1:
		return kept[0]
	}
	joined := parent(op, len(kept))
	for _, s := range kept {
		joined.adopt(s.root)
	}
	return newSelector(joined)
}

// String returns the canonical text. Parse accepts it and gives the same selector
// again, unless the selector was constructed of what no text can say: a key
// that is no label, a value that holds both kinds of quotes, or more than the
// limits allow. Selectors of different texts are different even then.
func (s *Selector) String() string {
	if s.text == "" { // the zero value
		return "all()"
	}
	return s.text
}

// Equal reports whether both have the same canonical text, or are both nil.
func (s *Selector) Equal(other *Selector) bool {
	if s == nil || other == nil {
		return s == other
	}
	return s.String() == other.String()
}

// IsAll reports whether the selector is just all().
func (s *Selector) IsAll() bool { return s.root.op == opAll }

// IsGlobal reports whether the selector is just global().
func (s *Selector) IsGlobal() bool { return s.root.op == opGlobal }

// UsesGlobal reports whether global() occurs anywhere in the selector.
func (s *Selector) UsesGlobal() bool { return s.root.uses(opGlobal) }

// Match reports whether the labels satisfy the selector. It does not allocate.
func (s *Selector) Match(ls Labels) bool { return s.root.match(ls) }
