package manifest

import (
	"fmt"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Severity says what a finding means for the object that it is about.
type Severity uint8

// The severities, in ascending order.
const (
	// Note is said for information only: nothing is wrong.
	Note Severity = iota
	// FailsClosed is an error in a part of an object that is in the model all the same,
	// where that part stands for what is safe: a peer that cannot be understood is
	// nobody to a rule that allows.
	FailsClosed
	// Invalid is an error for which the object, or the whole file if Object is zero, is
	// not in the model.
	Invalid
)

// String returns "note", "fails closed" or "invalid".
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case FailsClosed:
		return "fails closed"
	case Invalid:
		return "invalid"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// Finding is one thing to say about an object or a file.
type Finding struct {
	Severity Severity
	File     string     // as it was named to Load or Parse, or below a directory named so
	Line     int        // from 1; 0 if it concerns the whole file
	Object   policy.Key // zero if the file is at fault, or it is unknown which object
	Field    string     // as in "spec.ingress[2].ports[0]"; empty if none
	Message  string     // what is wrong and what would be right
}

// String returns "file:line: Kind namespace/name: field: message", without the parts that
// are unknown.
func (f Finding) String() string {
	return store.Finding{File: f.File, Line: f.Line, Key: f.Object, Field: f.Field, Message: f.Message}.Error()
}

// maxListed keeps the text of an error readable.
const maxListed = 10

// InvalidError is the error of manifests that are not all valid.
type InvalidError struct {
	// Findings are all that there are, notes included, sorted by file and line.
	Findings []Finding
}

// Error returns the first errors, a line each, and how many more there are.
func (e *InvalidError) Error() string {
	var lines []string
	more := 0
	for _, f := range e.Findings {
		switch {
		case f.Severity == Note:
		case len(lines) < maxListed:
			lines = append(lines, f.String())
		default:
			more++
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// findingsOf returns the findings of a store as those of this package.
func findingsOf(list []store.Finding) []Finding {
	out := make([]Finding, 0, len(list))
	for _, f := range list {
		severity := Invalid
		switch {
		case f.Note:
			severity = Note
		case f.FailClosed:
			severity = FailsClosed
		}
		out = append(out, Finding{Severity: severity, File: f.File, Line: f.Line, Object: f.Key, Field: f.Field, Message: f.Message})
	}
	return out
}
