package files

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// badText says where a text holds a byte that is no UTF-8, or a control character that YAML
// does not allow; nil if it is in order, or in an encoding that YAML knows beside UTF-8.
func badText(text []byte) *syntaxError {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil
	}
	line, column := 1, 1
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return &syntaxError{line: line, message: fmt.Sprintf("is no UTF-8: byte 0x%02x in column %d: save the file as UTF-8", text[i], column)}
		case r == '\n':
			line, column = line+1, 0
		case unicode.IsControl(r) && r != '\t' && r != '\r' && r != 0x85:
			return &syntaxError{line: line, message: fmt.Sprintf("is no YAML: it holds the control character %U in column %d: remove it, or write it as \"\\x%02x\" in quotes", r, column, r)}
		}
		column++
		i += n
	}
	return nil
}

// badUTF8 is badText for JSON, whose parser takes such bytes for something else.
func badUTF8(text []byte) *syntaxError {
	if utf8.Valid(text) {
		return nil
	}
	return badText(text)
}
