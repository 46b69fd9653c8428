// Package printable makes text that somebody else wrote fit for a terminal and for a log that
// is read line by line: names, kinds, fields and messages of manifests may hold anything.
package printable

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line returns the text with all that is not printable escaped as in Go: control characters,
// line ends, what changes the direction of writing, and bytes that are no UTF-8. It is one line.
func Line(s string) string {
	if !strings.ContainsFunc(s, needsEscape) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || needsEscape(r) {
			quoted := strconv.Quote(s[i : i+n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Lines is Line for text whose line ends are its writer's own.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Line(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Painted is Line for text that may hold colours: sequences that choose them, and nothing
// else, stay.
func Painted(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return Line(s)
	}
	var b strings.Builder
	for s != "" {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			break
		}
		rest := s[start+2:]
		end := len(rest) - len(strings.TrimLeft(rest, "0123456789;"))
		if end == len(rest) || rest[end] != 'm' {
			b.WriteString(Line(s[:start+2]))
			s = rest
			continue
		}
		b.WriteString(Line(s[:start]))
		b.WriteString(s[start : start+2+end+1])
		s = rest[end+1:]
	}
	return b.String() + Line(s)
}

func needsEscape(r rune) bool { return !strconv.IsPrint(r) }
