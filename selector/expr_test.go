package selector

import (
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// expr is a selector as the properties see it: a tree made by chance that is
// written down in some random way, and judged by plain code that shares nothing
// with the package.
type expr struct {
	kind   string // all, global, has, ==, !=, in, not in, contains, starts with, ends with, !, &&, ||
	key    string
	values []string
	kids   []*expr
}

// Few keys and values, so that they meet often; operator words among them.
var (
	someKeys   = []string{"a", "b", "in", "has", "not", "x.y/z-0", NamespaceLabel}
	someValues = []string{"", "x", "y", "xy", "yx", "it's", `"q"`, "in {", "||"}
)

func drawExpr(t *rapid.T, depth int) *expr {
	kinds := []string{"all", "global", "has", "==", "!=", "in", "not in", "contains", "starts with", "ends with"}
	if depth > 0 {
		kinds = append(kinds, "!", "&&", "||", "&&", "||", "!")
	}
	e := &expr{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	switch e.kind {
	case "all", "global":
	case "!":
		e.kids = []*expr{drawExpr(t, depth-1)}
	case "&&", "||":
		for range rapid.IntRange(2, 3).Draw(t, "operands") {
			e.kids = append(e.kids, drawExpr(t, depth-1))
		}
	default:
		e.key = rapid.SampledFrom(someKeys).Draw(t, "key")
		n := 1
		if e.kind == "in" || e.kind == "not in" {
			n = rapid.IntRange(0, 12).Draw(t, "values")
		}
		for range n {
			e.values = append(e.values, rapid.SampledFrom(someValues).Draw(t, "value"))
		}
	}
	return e
}

func drawLabels(t *rapid.T) map[string]string {
	return rapid.MapOfN(rapid.SampledFrom(someKeys), rapid.SampledFrom(someValues), 0, 5).Draw(t, "labels")
}

// match judges by the definition.
func (e *expr) match(ls map[string]string) bool {
	v, ok := ls[e.key]
	switch e.kind {
	case "all":
		return true
	case "global":
		_, namespaced := ls["projectcalico.org/namespace"]
		return !namespaced
	case "has":
		return ok
	case "==":
		return ok && v == e.values[0]
	case "!=":
		return !(ok && v == e.values[0])
	case "in":
		return ok && slices.Contains(e.values, v)
	case "not in":
		return !(ok && slices.Contains(e.values, v))
	case "contains":
		return ok && strings.Contains(v, e.values[0])
	case "starts with":
		return ok && strings.HasPrefix(v, e.values[0])
	case "ends with":
		return ok && strings.HasSuffix(v, e.values[0])
	case "!":
		return !e.kids[0].match(ls)
	case "&&":
		return e.kids[0].match(ls) && !slices.ContainsFunc(e.kids, func(k *expr) bool { return !k.match(ls) })
	default:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return k.match(ls) })
	}
}

// build makes the selector by the construction helpers.
func (e *expr) build() *Selector {
	var kids []*Selector
	for _, k := range e.kids {
		kids = append(kids, k.build())
	}
	switch e.kind {
	case "all":
		return All()
	case "global":
		return MustParse("global()")
	case "has":
		return Has(e.key)
	case "==":
		return Equals(e.key, e.values[0])
	case "!=":
		return NotEquals(e.key, e.values[0])
	case "in":
		return In(e.key, e.values...)
	case "not in":
		return NotIn(e.key, e.values...)
	case "!":
		return Not(kids[0])
	case "&&":
		return And(kids...)
	case "||":
		return Or(kids...)
	}
	return MustParse(e.key + " " + e.kind + " " + quoted(e.values[0]))
}

func quoted(v string) string {
	if strings.Contains(v, "'") {
		return `"` + v + `"`
	}
	return "'" + v + "'"
}

// writer writes an expression in one of the many ways there are. Each of them
// must have the same canonical text.
type writer struct {
	t *rapid.T
	b strings.Builder
}

func (w *writer) flip() bool { return rapid.Bool().Draw(w.t, "flip") }

func (w *writer) space() {
	w.b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\t", "  "}).Draw(w.t, "space"))
}

func (w *writer) gap() {
	w.b.WriteString(rapid.SampledFrom([]string{" ", "\t", "  "}).Draw(w.t, "gap"))
}

func (w *writer) words(tokens ...string) {
	for _, s := range tokens {
		w.space()
		w.b.WriteString(s)
	}
	w.space()
}

func (w *writer) value(v string) string {
	if !strings.Contains(v, `"`) && w.flip() {
		return `"` + v + `"`
	}
	return quoted(v)
}

func (w *writer) expr(e *expr, parent string) {
	order := map[string]int{"||": 1, "&&": 2, "!": 3}
	own, known := order[e.kind]
	if !known {
		own = 4
	}
	if e.kind != "!" && own <= order[parent] && own != order[parent] || rapid.IntRange(0, 4).Draw(w.t, "parens") == 0 {
		w.words("(")
		w.expr(e, "")
		w.words(")")
		return
	}
	if rapid.IntRange(0, 5).Draw(w.t, "negations") == 0 {
		w.words("!", "!")
		w.expr(e, "!")
		return
	}
	switch e.kind {
	case "!":
		w.words("!")
		w.expr(e.kids[0], "!")
	case "&&", "||":
		for i, k := range e.kids {
			if i > 0 {
				w.words(e.kind)
			}
			w.expr(k, e.kind)
		}
	case "all", "global":
		w.words(e.kind+"(", ")")
	case "has":
		w.words("has(", e.key, ")")
	default:
		w.comparison(e)
	}
}

func (w *writer) comparison(e *expr) {
	w.words(e.key)
	if e.kind != "==" && e.kind != "!=" {
		w.gap() // an operator word needs one before it
	}
	for i, word := range strings.Fields(e.kind) {
		if i > 0 {
			w.space()
		}
		w.b.WriteString(word)
	}
	if e.kind != "in" && e.kind != "not in" {
		w.words(w.value(e.values[0]))
		return
	}
	w.words("{")
	shuffled := rapid.Permutation(e.values).Draw(w.t, "order")
	for i, v := range shuffled {
		if i > 0 {
			w.words(",")
		}
		w.words(w.value(v))
	}
	if len(shuffled) > 0 && w.flip() {
		w.words(",")
	}
	w.words("}")
}

func write(t *rapid.T, e *expr) string {
	w := &writer{t: t}
	w.expr(e, "")
	return w.b.String()
}
