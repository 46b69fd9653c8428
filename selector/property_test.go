package selector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMatchIsWhatTheLanguageSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4)
		text := write(t, e)
		s, err := Parse(text)
		if err != nil {
			t.Fatalf("Parse(%s): %v", text, err)
		}
		built := e.build()
		for range 5 {
			m := drawLabels(t)
			ls := NewLabels(m)
			want := e.match(m)
			if got := s.Match(ls); got != want {
				t.Fatalf("%s matches %v: %v, want %v", s, m, got, want)
			}
			if got := built.Match(ls); got != want {
				t.Fatalf("built %s matches %v: %v, want %v", built, m, got, want)
			}
			if Not(s).Match(ls) == want {
				t.Fatalf("%s matches %v: %v", Not(s), m, want)
			}
		}
	})
}

func TestOneTextForOneSelector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4)
		one, other := write(t, e), write(t, e)
		a, b := MustParse(one), MustParse(other)
		if !a.Equal(b) {
			t.Fatalf("%q gives %s\n%q gives %s", one, a, other, b)
		}
		again := MustParse(a.String())
		if again.String() != a.String() {
			t.Fatalf("%s becomes %s", a, again)
		}
		if diff := cmp.Diff(a.root, again.root, cmp.AllowUnexported(node{}, list{})); diff != "" {
			t.Fatalf("trees of one text differ:\n%s", diff)
		}
		if built := e.build(); !MustParse(built.String()).Equal(built) {
			t.Fatalf("built %s, parsed %s", built, MustParse(built.String()))
		}
	})
}

func TestRequirementsAreNecessary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4)
		s := e.build()
		reqs := s.Requirements()
		for i, r := range reqs {
			if i > 0 && r.Key <= reqs[i-1].Key {
				t.Fatalf("requirements of %s are not sorted: %v", s, reqs)
			}
			for j, v := range r.Values {
				if j > 0 && v <= r.Values[j-1] {
					t.Fatalf("values of %s are not a sorted set: %v", s, reqs)
				}
			}
			if r.Values != nil && len(r.Values) == 0 && len(reqs) > 1 {
				t.Fatalf("%s matches nothing, but requires more: %v", s, reqs)
			}
		}
		for range 10 {
			m := drawLabels(t)
			if !e.match(m) {
				continue
			}
			for _, r := range reqs {
				if !r.Met(NewLabels(m)) {
					t.Fatalf("%s matches %v, which misses %+v", s, m, r)
				}
			}
		}
	})
}

// A rewritten selector says of the moved labels what the old one said of the
// labels where they were.
func TestRewriteMovesTheMeaning(t *testing.T) {
	rewrite := Rewrite{
		Key:    func(k string) string { return "pcns." + k },
		All:    Has("marker"),
		Global: Not(Has("marker")),
	}
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, 4)
		s := MustParse(write(t, e))
		moved := s.Rewrite(rewrite)
		if !MustParse(moved.String()).Equal(moved) {
			t.Fatalf("%s is not canonical", moved)
		}
		m := drawLabels(t)
		marker := rapid.Bool().Draw(t, "marker")
		want := e.withMarker(marker).match(m)
		ls := map[string]string{}
		for k, v := range m {
			ls["pcns."+k] = v
		}
		if marker {
			ls["marker"] = ""
		}
		if got := moved.Match(NewLabels(ls)); got != want {
			t.Fatalf("%s became %s, which matches %v: %v, want %v", s, moved, ls, got, want)
		}
		if before := s.String(); s.Rewrite(Rewrite{}).String() != before {
			t.Fatalf("an empty rewrite changes %s to %s", before, s.Rewrite(Rewrite{}))
		}
	})
}

// withMarker puts constants in place of all() and global().
func (e *expr) withMarker(marker bool) *expr {
	yes := &expr{kind: "all"}
	no := &expr{kind: "!", kids: []*expr{yes}}
	if e.kind == "all" && !marker || e.kind == "global" && marker {
		return no
	}
	if e.kind == "all" || e.kind == "global" {
		return yes
	}
	out := *e
	out.kids = nil
	for _, k := range e.kids {
		out.kids = append(out.kids, k.withMarker(marker))
	}
	return &out
}

// What the construction helpers are given need not be expressible: the text must
// then not be that of another selector.
func TestTextOfTheInexpressible(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		`'`, `"`, `\`, ` && `, ` || `, `a`, ` == `, `)`, `has(`, `!`, ` in `, `{`, `}`, `, `, "ä",
	})
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) string {
			text := ""
			for range rapid.IntRange(0, 12).Draw(t, "length") {
				text += piece.Draw(t, what)
			}
			return text
		}
		key, value := draw("key"), draw("value")
		for _, s := range []*Selector{Equals(key, value), In(key, value), Has(key)} {
			parsed, err := Parse(s.String())
			if err != nil {
				continue
			}
			if diff := cmp.Diff(s.root, parsed.root, cmp.AllowUnexported(node{}, list{})); diff != "" {
				t.Fatalf("%s reads as another selector:\n%s", s, diff)
			}
		}
	})
}

func TestCompactIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawExpr(t, 4).build()
		if rapid.Bool().Draw(t, "with what no text can say") {
			s = And(s, Equals("own:key", `a'b"c`), In("", "x", `"'`))
		}
		compact := s.Compact()
		if diff := cmp.Diff(s.root, compact.root, cmp.AllowUnexported(node{}, list{})); diff != "" || !s.Equal(compact) {
			t.Fatalf("%s became %s (-as it was +compact):\n%s", s, compact, diff)
		}
		if again := compact.Compact(); again != compact {
			t.Fatalf("%s is copied a second time", s)
		}
	})
	if (&Selector{}).Compact().String() != "all()" {
		t.Error("the zero value is no longer all()")
	}
}
