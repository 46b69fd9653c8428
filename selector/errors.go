package selector

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a selector stops making sense.
type SyntaxError struct {
	Text     string // the whole selector
	Column   int    // counts from 1, in bytes
	Found    string // what stands there, ready to print
	Expected string // what could have stood there, ready to print
}

// Error returns "column 3: found "=", expected "==", …".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("column %d: found %s, expected %s", e.Column, e.Found, e.Expected)
}

// What the parser expects at its various steps.
const (
	expectedOperand    = `a label, "has(", "all()", "global()", "!" or "("`
	expectedOperator   = `"&&", "||" or the end of the selector`
	expectedClosing    = `"&&", "||" or ")"`
	expectedLabel      = "a label"
	expectedComparison = `"==", "!=", "in", "not in", "contains", "starts with" or "ends with"`
	expectedString     = "a string in quotes"
	expectedSet        = `"{"`
	expectedElement    = `a string in quotes or "}"`
	expectedComma      = `"," or "}"`
)

// unexpected is the error of something else standing at the position.
func (p *parser) unexpected(expected string) error {
	return p.wrong(p.found(), expected)
}

func (p *parser) wrong(found, expected string) error {
	return &SyntaxError{Text: p.text, Column: p.pos + 1, Found: found, Expected: expected}
}

// noOperator is the error of a label that no operator follows.
func (p *parser) noOperator(label string) error {
	rest := p.text[p.pos:]
	switch {
	case (label == "has" || label == "all" || label == "global") && strings.HasPrefix(rest, "("):
		return p.unexpected(fmt.Sprintf(`no white space between "%s" and "("`, label))
	case strings.HasPrefix(rest, "="), strings.HasPrefix(rest, "not"),
		strings.HasPrefix(rest, "starts"), strings.HasPrefix(rest, "ends"):
		return p.unexpected(expectedComparison)
	}
	return p.unexpected(fmt.Sprintf("%s after label %q", expectedComparison, shorten(label)))
}

// longLabel is the error of a label of n bytes at the position.
func (p *parser) longLabel(n int) error {
	return p.wrong(fmt.Sprintf("a label of %d characters", n),
		fmt.Sprintf("at most %d", MaxLabelLen))
}

// unterminated is the error of a string at the position that has no end.
func (p *parser) unterminated() error {
	quote := p.text[p.pos : p.pos+1]
	return p.wrong("a string without an end: "+shorten(p.text[p.pos:]), "a closing "+quote)
}

func (p *parser) tooDeep() error {
	return p.unexpected(fmt.Sprintf("at most %d nested parentheses", MaxDepth))
}

// tooLong is the error of a text that has, as written or in canonical form, too
// many bytes.
func tooLong(text string, n int) error {
	return &SyntaxError{
		Text:     text,
		Column:   min(len(text), MaxTextLen) + 1,
		Found:    fmt.Sprintf("a selector of %d bytes", n),
		Expected: fmt.Sprintf("at most %d", MaxTextLen),
	}
}

// found describes what stands at the position: a word, an operator or one
// character.
func (p *parser) found() string {
	rest := p.text[p.pos:]
	if rest == "" {
		return "the end of the selector"
	}
	n := labelLen(rest)
	if n == 0 {
		n = len(rest) - len(strings.TrimLeft(rest, "=!&|<>~"))
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(rest)
		if rest[0] == '\'' || rest[0] == '"' {
			if end := strings.IndexByte(rest[1:], rest[0]); end >= 0 {
				n = end + 2
			}
			return "the string " + shorten(rest[:n])
		}
	}
	return strconv.Quote(shorten(rest[:n]))
}

// shorten cuts a text that is too long for a message.
func shorten(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
