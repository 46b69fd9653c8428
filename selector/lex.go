package selector

import "strings"

// labelChars says which bytes may stand in a label.
var labelChars = func() (is [256]bool) {
	for c := range is {
		is[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '_' || c == '.' || c == '/' || c == '-'
	}
	return is
}()

// isLabel reports whether the key can be written in a selector.
func isLabel(key string) bool {
	return key != "" && len(key) <= MaxLabelLen && labelLen(key) == len(key)
}

// labelLen counts the bytes at the start of the text that may stand in a label.
func labelLen(text string) int {
	n := 0
	for n < len(text) && labelChars[text[n]] {
		n++
	}
	return n
}

// space skips white space.
func (p *parser) space() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

// symbol skips the symbol and the white space behind it, if the symbol is next.
// It also serves for operator words: they need nothing behind them.
func (p *parser) symbol(s string) bool {
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	p.space()
	return true
}

// label reads a label, but not the white space behind it.
func (p *parser) label(expected string) (string, error) {
	n := labelLen(p.text[p.pos:])
	if n == 0 {
		return "", p.unexpected(expected)
	}
	if n > MaxLabelLen {
		return "", p.longLabel(n)
	}
	label := p.text[p.pos : p.pos+n]
	p.pos += n
	return label, nil
}

// literal reads a string in quotes and the white space behind it.
func (p *parser) literal(expected string) (string, error) {
	if p.pos == len(p.text) || p.text[p.pos] != '\'' && p.text[p.pos] != '"' {
		return "", p.unexpected(expected)
	}
	rest := p.text[p.pos+1:]
	end := strings.IndexByte(rest, p.text[p.pos])
	if end < 0 {
		return "", p.unterminated()
	}
	p.pos += 1 + end + 1
	p.space()
	return rest[:end], nil
}
