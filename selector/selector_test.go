package selector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		selector string
		yes      []map[string]string
		no       []map[string]string
	}{
		{"", []map[string]string{nil, {"a": "b"}}, nil},
		{"global()",
			[]map[string]string{nil, {"a": "b"}},
			[]map[string]string{{"projectcalico.org/namespace": ""}}},
		{"a == ''", []map[string]string{{"a": ""}}, []map[string]string{nil, {"a": "x"}}},
		{"a != 'x'", []map[string]string{nil, {"a": "y"}}, []map[string]string{{"a": "x"}}},
		{"a in {'x','y'}", []map[string]string{{"a": "x"}, {"a": "y"}}, []map[string]string{nil, {"a": "z"}}},
		{"a in {}", nil, []map[string]string{nil, {"a": ""}}},
		{"a not in {'x'}", []map[string]string{nil, {"a": "y"}}, []map[string]string{{"a": "x"}}},
		{"a not in {}", []map[string]string{nil, {"a": "y"}}, nil},
		{"a contains 'b'", []map[string]string{{"a": "abc"}, {"a": "b"}}, []map[string]string{nil, {"a": "B"}}},
		{"a contains ''", []map[string]string{{"a": ""}}, []map[string]string{nil}},
		{"a starts with 'b'", []map[string]string{{"a": "bc"}}, []map[string]string{nil, {"a": "ab"}}},
		{"a ends with 'b'", []map[string]string{{"a": "ab"}}, []map[string]string{nil, {"a": "bc"}}},
		{"has(a) && has(b) || !has(c)",
			[]map[string]string{nil, {"a": "", "b": "", "c": ""}},
			[]map[string]string{{"a": "", "c": ""}}},
	}
	for _, test := range tests {
		s := MustParse(test.selector)
		for _, m := range test.yes {
			if !s.Match(NewLabels(m)) {
				t.Errorf("%s does not match %v", s, m)
			}
		}
		for _, m := range test.no {
			if s.Match(NewLabels(m)) {
				t.Errorf("%s matches %v", s, m)
			}
		}
	}
}

func TestConstruct(t *testing.T) {
	a, b, c := Has("a"), Has("b"), Has("c")
	tests := []struct {
		got  *Selector
		want string
	}{
		{All(), "all()"},
		{MustParse("global()"), "global()"},
		{&Selector{}, "all()"},
		{Equals("a", "x"), "a == 'x'"},
		{NotEquals("a", "x"), "a != 'x'"},
		{In("a", "y", "x", "y"), "a in {'x', 'y'}"},
		{In("a"), "a in {}"},
		{NotIn("a", "x"), "a not in {'x'}"},
		{Not(a), "!has(a)"},
		{Not(Not(a)), "has(a)"},
		{Not(Equals("a", "x")), "a != 'x'"},
		{And(), "all()"},
		{And(All(), All()), "all()"},
		{And(a), "has(a)"},
		{And(a, All(), And(b, c)), "has(a) && has(b) && has(c)"},
		{And(Or(a, b), c), "(has(a) || has(b)) && has(c)"},
		{Or(), "!all()"},
		{Or(a), "has(a)"},
		{Or(a, All()), "all()"},
		{Or(And(a, b), Or(b, c)), "has(a) && has(b) || has(b) || has(c)"},
		{Not(And(a, b)), "!(has(a) && has(b))"},
		{Equals("a", `both ' and "`), `a == "both ' and \""`},
		{Has("a) && has(b"), `has("a) && has(b")`},
		{Has(""), `has("")`},
	}
	for _, test := range tests {
		if got := test.got.String(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestInKeepsNoHoldOfItsArguments(t *testing.T) {
	values := []string{"b", "a"}
	s := In("k", values...)
	if values[0] != "b" {
		t.Error("the arguments were sorted in place")
	}
	values[1] = "z"
	if !s.Match(Labels{{"k", "a"}}) {
		t.Error("the selector changed with its arguments")
	}
}

func TestEqualAndUses(t *testing.T) {
	var none *Selector
	if none.Equal(All()) || All().Equal(none) || !none.Equal(nil) || !All().Equal(&Selector{}) {
		t.Error("Equal is wrong about nil or zero selectors")
	}
	tests := []struct {
		selector                    string
		isAll, isGlobal, usesGlobal bool
	}{
		{"", true, false, false},
		{"global()", false, true, true},
		{"has(a) && !(all() || has(b))", false, false, false},
		{"has(a) || !global()", false, false, true},
		{"all == 'global()'", false, false, false},
	}
	for _, test := range tests {
		s := MustParse(test.selector)
		got := [3]bool{s.IsAll(), s.IsGlobal(), s.UsesGlobal()}
		want := [3]bool{test.isAll, test.isGlobal, test.usesGlobal}
		if got != want {
			t.Errorf("%s: IsAll, IsGlobal, UsesGlobal = %v, want %v", s, got, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	r := Rewrite{
		Key:    func(k string) string { return "pcns." + k },
		All:    Has(NamespaceLabel),
		Global: Not(Has(NamespaceLabel)),
	}
	tests := []struct{ in, want string }{
		{"env == 'prod'", "pcns.env == 'prod'"},
		{"all()", "has(projectcalico.org/namespace)"},
		{"global()", "!has(projectcalico.org/namespace)"},
		{"!global()", "has(projectcalico.org/namespace)"},
		{"all() && env != 'prod'", "has(projectcalico.org/namespace) && pcns.env != 'prod'"},
		{"!(has(a) || b in {'x'})", "!(has(pcns.a) || pcns.b in {'x'})"},
	}
	for _, test := range tests {
		if got := MustParse(test.in).Rewrite(r).String(); got != test.want {
			t.Errorf("%s becomes %s, want %s", test.in, got, test.want)
		}
	}
	flat := MustParse("has(a) && global()").Rewrite(Rewrite{Global: MustParse("has(b) && has(c)")})
	if got := flat.String(); got != "has(a) && has(b) && has(c)" {
		t.Errorf("what is put into an && is not joined with it: %s", got)
	}
}

func TestRequirements(t *testing.T) {
	never := func(key string) []Requirement { return []Requirement{{Key: key, Values: []string{}}} }
	tests := []struct {
		selector string
		want     []Requirement
	}{
		{"", nil},
		{"global()", nil},
		{"!global()", []Requirement{{Key: NamespaceLabel}}},
		{"has(b) && a == 'x'", []Requirement{{"a", []string{"x"}}, {"b", nil}}},
		{"a in {'y','x'}", []Requirement{{"a", []string{"x", "y"}}}},
		{"a == 'y' || a == 'x' || a == 'y'", []Requirement{{"a", []string{"x", "y"}}}},
		{"a == 'x' || b == 'y'", nil},
		{"a == 'x' && has(c) || b == 'y' && c == 'z'", []Requirement{{Key: "c"}}},
		{"a == 'x' || has(a)", []Requirement{{Key: "a"}}},
		{"a != 'x'", nil},
		{"a not in {'x'}", nil},
		{"!has(a)", nil},
		{"a contains 'x' && b starts with 'y' && c ends with 'z'",
			[]Requirement{{Key: "a"}, {Key: "b"}, {Key: "c"}}},
		{"!(a contains 'x')", nil},
		{"a in {'x','y'} && a in {'y','z'}", []Requirement{{"a", []string{"y"}}}},
		{"has(a) && a == 'x'", []Requirement{{"a", []string{"x"}}}},
		{"a == 'x' && has(a)", []Requirement{{"a", []string{"x"}}}},
		{"!(a != 'x' || !has(b))", []Requirement{{"a", []string{"x"}}, {"b", nil}}},
		{"!(a != 'x' && a not in {'y'})", []Requirement{{"a", []string{"x", "y"}}}},
		{"a in {}", never("a")},
		{"has(b) && a in {}", never("a")},
		{"a == 'x' && a == 'y'", never("a")},
		{"a in {} || b == 'x'", []Requirement{{"b", []string{"x"}}}},
		{"a in {} || b in {}", never("b")},
		{"!all()", never("")},
		{"has(a) && !all()", never("")},
	}
	for _, test := range tests {
		got := MustParse(test.selector).Requirements()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("requirements of %s (-want +got):\n%s", test.selector, diff)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	s := MustParse("a == 'x' && has(b) && (c in {'1','2','3'} || !(d contains 'y')) && e not in {'q'}")
	ls := NewLabels(map[string]string{"a": "x", "b": "", "c": "2", NamespaceLabel: "ns"})
	if n := testing.AllocsPerRun(100, func() { s.Match(ls) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
