package controller

import (
	"fmt"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
)

// validity is what is wrong with an object.
type validity struct {
	reason  string // ReasonValid, ReasonInvalid or ReasonTierNotFound
	message string // empty if nothing is wrong
	closed  bool   // what is wrong fails closed: the object is in force
}

// maxFindings and maxMessage bound what is said of one object; an API server
// takes 32 KiB.
const (
	maxFindings = 10
	maxMessage  = 8 << 10
)

// validate makes a validity of what package translate has found. What is only worth
// noting leaves an object valid, and is said all the same.
func validate(findings []store.Finding) validity {
	v := validity{reason: v3.ReasonInvalid}
	if !slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note }) {
		v.reason = v3.ReasonValid
	}
	v.closed = !slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note && !f.FailClosed })
	if len(findings) == 0 {
		return v
	}
	if len(findings) == 1 && findings[0].Field == "spec.tier" {
		v.reason = v3.ReasonTierNotFound
	}
	lines := make([]string, 0, maxFindings+1)
	for i := range findings {
		if i == maxFindings {
			lines = append(lines, fmt.Sprintf("and %d more", len(findings)-maxFindings))
			break
		}
		f := &findings[i]
		if f.Field != "" {
			lines = append(lines, f.Field+": "+f.Message)
		} else {
			lines = append(lines, f.Message)
		}
	}
	v.message = shorten(strings.Join(lines, "; "), maxMessage)
	return v
}

// shorten cuts a text to a number of bytes, at the border of a character.
func shorten(text string, most int) string {
	const ellipsis = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(ellipsis)], "") + ellipsis
}

func (v validity) valid() bool { return v.reason == v3.ReasonValid }
