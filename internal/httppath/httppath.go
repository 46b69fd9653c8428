// Package httppath gives the path of an HTTP request the one form that policy
// compares, or says that there is none.
//
// A path is judged here and read again by the server behind: what the two read
// differently is a hole. Servers differ in whether they resolve "..", join "//",
// decode "%2F" before or after they look for segments, take "\" for "/", cut
// ";parameters" off, and decode once or twice. A path in which any of this
// matters is therefore not brought into some form, it has none: [ErrAmbiguous].
// What is left is what all agree on, and of that there are few spellings:
// unreserved characters may be percent-encoded, the digits of an encoding may be
// of either case, characters beyond ASCII may stand bare, and the path may end
// with a slash.
package httppath

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The two ways in which a target has no normal form.
var (
	// ErrMalformed is a target that is no path by any reading.
	ErrMalformed = errors.New("malformed")
	// ErrAmbiguous is a target that servers read in different ways.
	ErrAmbiguous = errors.New("can be read in several ways")
)

// Normalize returns the normal form of the path in a request target such as
// "/a/b?c=d": without the query, its unreserved characters decoded, all others
// that need it encoded with upper-case digits, and without a slash at its end
// unless it is "/". Letters keep their case. The error is, or wraps,
// ErrMalformed or ErrAmbiguous; a target without a path ("" of CONNECT, "*" of
// OPTIONS) is ambiguous.
func Normalize(target string) (string, error) {
	path, _, _ := strings.Cut(target, "?")
	if path == "" || path == "*" {
		return "", fmt.Errorf("%w: it has no path", ErrAmbiguous)
	}
	if path[0] != '/' {
		return "", fmt.Errorf("%w: it does not begin with '/'", ErrMalformed)
	}
	out, ambiguous, err := spell(path)
	if err != nil {
		return "", err
	}
	if ambiguous == "" {
		ambiguous = segments(out)
	}
	if ambiguous != "" {
		return "", fmt.Errorf("%w: %s", ErrAmbiguous, ambiguous)
	}
	if len(out) > 1 {
		out = strings.TrimSuffix(out, "/")
	}
	return out, nil
}

// spell returns the one spelling of each character. ambiguous says which one has
// several meanings; the first is enough.
func spell(path string) (out, ambiguous string, err error) {
	if isPlain(path) {
		return path, "", nil // as nearly all are
	}
	raw := make([]byte, 0, len(path)) // decoded, to be judged as a whole
	b := make([]byte, 0, len(path))
	note := func(why string) {
		if ambiguous == "" {
			ambiguous = why
		}
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		encoded := c == '%'
		if encoded {
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", "", fmt.Errorf("%w: '%%' is not followed by two hexadecimal digits", ErrMalformed)
			}
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
		}
		switch {
		case !encoded && (c <= ' ' || c == 0x7f):
			return "", "", fmt.Errorf("%w: it has a space or control character", ErrMalformed)
		case c <= ' ' && c != ' ' || c == 0x7f:
			note("it has an encoded control character")
		case c == '/' && encoded:
			note("it has an encoded '/'")
		case c == '\\':
			note(`it has a '\'`)
		case c == ';':
			note("it has a ';'")
		case c == '%':
			note("it has an encoded '%'")
		case c == '#':
			note("it has a '#'")
		}
		raw = append(raw, c)
		if c >= 0x80 || encoded && !isUnreserved(c) || !encoded && !isAllowed(c) {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	switch text := string(raw); {
	case !utf8.ValidString(text):
		note("it is not in UTF-8")
	case strings.ContainsFunc(text, isLookalike):
		note("it has a character that some take for '/', '.' or '\\'")
	}
	return string(b), ambiguous, nil
}

// segments says which segment of a path has several meanings; "" for none.
func segments(path string) string {
	rest := path[1:]
	for {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case segment == "" && (more || rest != path[1:] && path[len(path)-2] == '/'):
			return "it has two slashes in a row"
		case segment == "." || segment == "..":
			return "it has a segment '" + segment + "'"
		}
		if !more {
			return ""
		}
		rest = after
	}
}

// isPlain reports whether all characters are spelt in the one way already.
func isPlain(path string) bool {
	for i := range len(path) {
		if c := path[i]; c != '/' && !isUnreserved(c) {
			return false
		}
	}
	return true
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// isAllowed reports whether a path may have the character as it is.
func isAllowed(c byte) bool { return isUnreserved(c) || strings.IndexByte("/!$&'()*+,=:@", c) >= 0 }

// isLookalike reports whether a server with a "best fit" of characters may turn
// this one into one that has a meaning in paths.
func isLookalike(r rune) bool {
	switch r {
	case '\u2024', '\u2044', '\u2215', '\u29f8', '\u2216', '\u29f5':
		return true
	}
	return 0xff01 <= r && r <= 0xff5e // full-width forms of ASCII
}

const upperHex = "0123456789ABCDEF"

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
