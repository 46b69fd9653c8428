package policy

import (
	"slices"
	"strings"
)

// HTTPMatch matches HTTP requests by method and path; a nil list matches any.
type HTTPMatch struct {
	Methods []string // as in "GET"; "*" is any
	Paths   []HTTPPath
}

// HTTPPath matches a path, as it is after normalisation: either all of it or
// its beginning, which ends with a segment: "/a" is the beginning of "/a" and
// "/a/b", and not of "/ab".
type HTTPPath struct {
	Exact, Prefix string // one of them is empty
}

// HTTPRequest is what policy sees of a request.
type HTTPRequest struct {
	Method string
	// Path is normalised, without query. It is empty if the request has none, or one
	// that programs read in different ways: no rule with paths matches that.
	Path string
}

// MatchesMethod reports whether the method is one of the match's.
func (m *HTTPMatch) MatchesMethod(method string) bool {
	return len(m.Methods) == 0 || slices.Contains(m.Methods, method) || slices.Contains(m.Methods, "*")
}

// MatchesPath reports whether a normalised path is one of the match's.
func (m *HTTPMatch) MatchesPath(path string) bool {
	return len(m.Paths) == 0 || slices.ContainsFunc(m.Paths, func(p HTTPPath) bool { return p.Matches(path) })
}

// Matches reports whether a normalised path is meant.
func (p HTTPPath) Matches(path string) bool {
	if path == "" {
		return false
	}
	if p.Exact != "" {
		return p.Exact == path
	}
	rest, found := strings.CutPrefix(path, strings.TrimSuffix(p.Prefix, "/"))
	return found && (rest == "" || rest[0] == '/')
}

// String returns "/a", or "/a/..." for a beginning of paths.
func (p HTTPPath) String() string {
	if p.Exact != "" {
		return p.Exact
	}
	return strings.TrimSuffix(p.Prefix, "/") + "/..."
}
