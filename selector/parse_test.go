package selector

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseGivesCanonicalText(t *testing.T) {
	long := strings.Repeat("a", MaxLabelLen)
	tests := []struct{ in, want string }{
		// Empty.
		{``, `all()`},
		{` `, `all()`},
		{" \t ", `all()`},
		// Functions.
		{`all()`, `all()`},
		{`all( )`, `all()`},
		{"all(\t)", `all()`},
		{`global()`, `global()`},
		{`global( )`, `global()`},
		{`has(a)`, `has(a)`},
		{`has( a )`, `has(a)`},
		{`has(has)`, `has(has)`},
		// Comparisons.
		{`a == 'b'`, `a == 'b'`},
		{`a=='b'`, `a == 'b'`},
		{"\ta\t==\t'b'\t", `a == 'b'`},
		{`a == "b"`, `a == 'b'`},
		{`a == ""`, `a == ''`},
		{`a == "it's"`, `a == "it's"`},
		{`a == 'say "x"'`, `a == 'say "x"'`},
		{`a == 'b\'`, `a == 'b\'`},
		{`a == 'ü € 😀'`, `a == 'ü € 😀'`},
		{"a == 'line\nline'", "a == 'line\nline'"},
		{`a == '&& || ! ( )'`, `a == '&& || ! ( )'`},
		{`a != 'b'`, `a != 'b'`},
		{`a!='b'`, `a != 'b'`},
		{`a contains 'b'`, `a contains 'b'`},
		{`a contains'b'`, `a contains 'b'`},
		{`a starts with 'b'`, `a starts with 'b'`},
		{`a startswith 'b'`, `a starts with 'b'`},
		{"a starts \t with'b'", `a starts with 'b'`},
		{`a ends with 'b'`, `a ends with 'b'`},
		{`a endswith"b"`, `a ends with 'b'`},
		// Sets.
		{`a in {}`, `a in {}`},
		{`a in { }`, `a in {}`},
		{`a in{'b'}`, `a in {'b'}`},
		{`a in { "c" , 'b' , 'c', }`, `a in {'b', 'c'}`},
		{`a not in {'b'}`, `a not in {'b'}`},
		{`a notin{'b'}`, `a not in {'b'}`},
		{"a not\t in {'b'}", `a not in {'b'}`},
		// Operator words as labels.
		{`in in {'a'}`, `in in {'a'}`},
		{`not in {'a'}`, `not in {'a'}`},
		{`not not in {'a'}`, `not not in {'a'}`},
		{`has == 'a'`, `has == 'a'`},
		{`all == 'a'`, `all == 'a'`},
		{`global != 'a'`, `global != 'a'`},
		{`contains contains 'a'`, `contains contains 'a'`},
		{`starts starts with 'a'`, `starts starts with 'a'`},
		{`has(in) && has(not)`, `has(in) && has(not)`},
		// Label characters.
		{`projectcalico.org/name == 'x'`, `projectcalico.org/name == 'x'`},
		{`-./_ == 'x'`, `-./_ == 'x'`},
		{`1a == 'x'`, `1a == 'x'`},
		{long + ` == 'x'`, long + ` == 'x'`},
		{`has(` + long + `)`, `has(` + long + `)`},
		// Logic.
		{`has(a)&&has(b)||has(c)`, `has(a) && has(b) || has(c)`},
		{`(has(a) && has(b)) || has(c)`, `has(a) && has(b) || has(c)`},
		{`has(a) && (has(b) || has(c))`, `has(a) && (has(b) || has(c))`},
		{`((has(a)))`, `has(a)`},
		{`has(a) && (has(b) && (has(c) && has(d)))`, `has(a) && has(b) && has(c) && has(d)`},
		{`(has(a) || has(b)) || has(c)`, `has(a) || has(b) || has(c)`},
		{`!has(a)`, `!has(a)`},
		{`! has(a)`, `!has(a)`},
		{`!!has(a)`, `has(a)`},
		{`! ! !has(a)`, `!has(a)`},
		{`!(!has(a))`, `has(a)`},
		{`!all()`, `!all()`},
		{`!global()`, `!global()`},
		{`!a == 'b'`, `a != 'b'`},
		{`!(a != 'b')`, `a == 'b'`},
		{`!a in {'b'}`, `a not in {'b'}`},
		{`!(a not in {'b'})`, `a in {'b'}`},
		{`!a contains 'b'`, `!(a contains 'b')`},
		{`!has(a) && has(b)`, `!has(a) && has(b)`},
		{`!(has(a) && has(b))`, `!(has(a) && has(b))`},
		{`!(has(a) || has(b))`, `!(has(a) || has(b))`},
		{`all() && a != 'b'`, `all() && a != 'b'`},
		{`!` + strings.Repeat("(", MaxDepth) + `has(a)` + strings.Repeat(")", MaxDepth), `!has(a)`},
		{strings.Repeat("!", 100_000) + `has(a)`, `has(a)`},
	}
	for _, test := range tests {
		s, err := Parse(test.in)
		if err != nil {
			t.Errorf("Parse(%s): %v", shorten(test.in), err)
			continue
		}
		if got := s.String(); got != test.want {
			t.Errorf("Parse(%s) = %s, want %s", shorten(test.in), got, test.want)
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() || !cmp.Equal(again, s) {
			t.Errorf("Parse(%s) again gives %v, %v", s, again, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const afterTerm = `"&&", "||" or the end of the selector`
	const inParens = `"&&", "||" or ")"`
	const operand = `a label, "has(", "all()", "global()", "!" or "("`
	const comparison = `"==", "!=", "in", "not in", "contains", "starts with" or "ends with"`
	tests := []struct {
		in     string
		column int
		found  string
		want   string
	}{
		{`a = 'b'`, 3, `"="`, comparison},
		{`a =! 'b'`, 3, `"=!"`, comparison},
		// Half of an operator of two words is none, and does not negate what follows.
		{`a not contains 'b'`, 3, `"not"`, comparison},
		{`a not starts with 'b'`, 3, `"not"`, comparison},
		{`a starts ends with 'b'`, 3, `"starts"`, comparison},
		{`a === 'b'`, 5, `"="`, `a string in quotes`},
		{`a`, 2, `the end of the selector`, comparison + ` after label "a"`},
		{`a `, 3, `the end of the selector`, comparison + ` after label "a"`},
		{`a b`, 3, `"b"`, comparison + ` after label "a"`},
		{`a 'b'`, 3, `the string 'b'`, comparison + ` after label "a"`},
		{`a is 'b'`, 3, `"is"`, comparison + ` after label "a"`},
		{`a not 'b'`, 3, `"not"`, comparison},
		{`a nothing`, 3, `"nothing"`, comparison},
		{`a starts 'b'`, 3, `"starts"`, comparison},
		{`a ends 'b'`, 3, `"ends"`, comparison},
		{`a ==`, 5, `the end of the selector`, `a string in quotes`},
		{`a == b`, 6, `"b"`, `a string in quotes`},
		{`a == “b”`, 6, `"“"`, `a string in quotes`},
		{`a == 'b`, 6, `a string without an end: 'b`, `a closing '`},
		{`a == "b'`, 6, `a string without an end: "b'`, `a closing "`},
		{`a == 'it's'`, 10, `"s"`, afterTerm},
		{`a == {'b'}`, 6, `"{"`, `a string in quotes`},
		{`a in 'b'`, 6, `the string 'b'`, `"{"`},
		{`a in`, 5, `the end of the selector`, `"{"`},
		{`a inside {'b'}`, 5, `"side"`, `"{"`},
		{`a in {b}`, 7, `"b"`, `a string in quotes or "}"`},
		{`a in {,}`, 7, `","`, `a string in quotes or "}"`},
		{`a in {'b',,}`, 11, `","`, `a string in quotes or "}"`},
		{`a in {'b' 'c'}`, 11, `the string 'c'`, `"," or "}"`},
		{`a in {'b'`, 10, `the end of the selector`, `"," or "}"`},
		{`a in {'b',`, 11, `the end of the selector`, `a string in quotes or "}"`},
		{`has (a)`, 5, `"("`, `no white space between "has" and "("`},
		{`all ()`, 5, `"("`, `no white space between "all" and "("`},
		{`global ()`, 8, `"("`, `no white space between "global" and "("`},
		{`has()`, 5, `")"`, `a label`},
		{`has('a')`, 5, `the string 'a'`, `a label`},
		{`has(a`, 6, `the end of the selector`, `")"`},
		{`has(a b)`, 7, `"b"`, `")"`},
		{`has(a == 'b')`, 7, `"=="`, `")"`},
		{`all(a)`, 5, `"a"`, `")"`},
		{`all`, 4, `the end of the selector`, comparison + ` after label "all"`},
		{`Has(a)`, 4, `"("`, comparison + ` after label "Has"`},
		{`has(a) and has(b)`, 8, `"and"`, afterTerm},
		{`has(a) & has(b)`, 8, `"&"`, afterTerm},
		{`has(a) | has(b)`, 8, `"|"`, afterTerm},
		{`has(a) has(b)`, 8, `"has"`, afterTerm},
		{`has(a) == 'b'`, 8, `"=="`, afterTerm},
		{`has(a) && `, 11, `the end of the selector`, operand},
		{`&& has(a)`, 1, `"&&"`, operand},
		{`has(a) || || has(b)`, 11, `"||"`, operand},
		{`!`, 2, `the end of the selector`, operand},
		{`!= 'a'`, 2, `"="`, operand},
		{`'a' == 'b'`, 1, `the string 'a'`, operand},
		{`(has(a)`, 8, `the end of the selector`, inParens},
		{`(has(a) has(b))`, 9, `"has"`, inParens},
		{`()`, 2, `")"`, operand},
		{`has(a))`, 7, `")"`, afterTerm},
		{"has(a)\n&& has(b)", 7, `"\n"`, afterTerm},
		{`a@b == 'c'`, 2, `"@"`, comparison + ` after label "a"`},
		{`ä == 'c'`, 1, `"ä"`, operand},
		{"\xff", 1, `"\xff"`, operand},
		{`has(b) && ` + strings.Repeat("a", 513) + ` == 'x'`, 11, `a label of 513 characters`, `at most 512`},
		{`has(` + strings.Repeat("a", 513) + `)`, 5, `a label of 513 characters`, `at most 512`},
		{strings.Repeat("(", 257) + `has(a)`, 257, `"("`, `at most 256 nested parentheses`},
		{strings.Repeat("(", 256) + `!a contains 'b'`, 260, `"contains"`, `at most 256 nested parentheses`},
		{strings.Repeat(" ", MaxTextLen+1), MaxTextLen + 1, `a selector of 1048577 bytes`, `at most 1048576`},
	}
	for _, test := range tests {
		s, err := Parse(test.in)
		if err == nil {
			t.Errorf("Parse(%s) = %s, want an error", shorten(test.in), s)
			continue
		}
		var got *SyntaxError
		if !errors.As(err, &got) {
			t.Errorf("Parse(%s): error of type %T", shorten(test.in), err)
			continue
		}
		want := &SyntaxError{Text: test.in, Column: test.column, Found: test.found, Expected: test.want}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse(%s): error (-want +got):\n%s", shorten(test.in), diff)
		}
	}
}

func TestSyntaxErrorReadsWell(t *testing.T) {
	_, err := Parse("role = 'db'")
	const want = `column 6: found "=", expected "==", "!=", "in", "not in", "contains", "starts with" or "ends with"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// The canonical text of a selector can be longer than what was written.
func TestCanonicalTextIsLimitedToo(t *testing.T) {
	term := "a=='b'||"
	text := strings.Repeat(term, MaxTextLen/len(term)-1) + "has(a)"
	if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("error %v, want one about the length", err)
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	MustParse("a =")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		``, `all()`, `has( a )`, `a == 'b' && !(c in {"d",'e',} || global())`, `a notin{}`,
		`a starts with 'x' || b endswith "y"`, `!!a contains ''`, `a = b`, `((`, `a in {'b'`, "ä\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Column < 1 || e.Column > len(text)+1 || e.Found == "" || e.Expected == "" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q: canonical text %q gives %v, %v", text, s, again, err)
		}
		ls := NewLabels(map[string]string{"a": "b", "c": "d", "x": ""})
		match := s.Match(ls)
		if match != again.Match(ls) || match == Not(s).Match(ls) {
			t.Fatalf("%q: matches differ", text)
		}
		for _, r := range s.Requirements() {
			if match && !r.Met(ls) {
				t.Fatalf("%q matches but misses %+v", text, r)
			}
		}
	})
}
