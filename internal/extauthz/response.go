package extauthz

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Headers that go to the server with an allowed request, in the place of any that
// the client sent by these names, and to the client with a denial.
const (
	// HeaderVerdict is "allow" or "deny".
	HeaderVerdict = "x-tierwall-verdict"
	// HeaderPolicy is what decided: see policyText.
	HeaderPolicy = "x-tierwall-policy"
	// HeaderTraceID is the trace id of the request's traceparent, or a new one: 32
	// hexadecimal digits.
	HeaderTraceID = "x-tierwall-trace-id"
)

const headerTraceparent = "traceparent"

// allowed and denied are the responses.
func allowed(res *policy.Result, trace string) *CheckResponse {
	return &CheckResponse{Allowed: true, Headers: headersOf("allow", policyText(decider(res)), trace)}
}

func denied(res *policy.Result, why error, trace string) *CheckResponse {
	code, by := http.StatusForbidden, ""
	switch {
	case errors.Is(why, errNotReady):
		code, by = http.StatusServiceUnavailable, why.Error()
	case why != nil:
		by = why.Error()
	default:
		by = policyText(decider(res))
	}
	return &CheckResponse{Status: code, Headers: headersOf("deny", by, trace), Body: "denied by policy\n"}
}

func headersOf(verdict, by, trace string) [][2]string {
	return [][2]string{{HeaderVerdict, verdict}, {HeaderPolicy, by}, {HeaderTraceID, trace}}
}

// policyText says what decided: "NetworkPolicy web/allow rule 2", "NetworkPolicy
// web/allow end of tier default", "Profile kns.web", or "no policy".
func policyText(by *policy.Decider) string {
	if by == nil {
		return "no policy"
	}
	var b strings.Builder
	name := by.Title()
	b.Grow(len(by.Kind) + len(by.Namespace) + len(name) + len(by.Tier) + len(" /  end of tier "))
	b.WriteString(by.Kind)
	if name != "" {
		b.WriteByte(' ')
		if by.Namespace != "" {
			b.WriteString(by.Namespace)
			b.WriteByte('/')
		}
		b.WriteString(name)
	}
	switch {
	case by.Kind == policy.KindProfile && !policy.IsReservedProfile(by.Name) && by.Rule != policy.EndOfTier:
		b.WriteString(" rule ")
		b.WriteString(strconv.Itoa(by.Rule))
	case by.Tier == "":
	case by.Rule == policy.EndOfTier:
		b.WriteString(" end of tier ")
		b.WriteString(by.Tier)
	default:
		b.WriteString(" rule ")
		b.WriteString(strconv.Itoa(by.Rule))
	}
	return b.String()
}

// traceID returns the trace id that a request carries in a W3C traceparent, or a new one.
func traceID(q *CheckRequest) string {
	if q.HTTP != nil {
		if id, ok := parentTraceID(q.HTTP.Traceparent); ok {
			return id
		}
	}
	var raw [16]byte
	for i := 0; i < len(raw); i += 8 {
		n := rand.Uint64() //nolint:gosec // it need not be secret
		for j := range 8 {
			raw[i+j] = byte(n >> (8 * j))
		}
	}
	return hex.EncodeToString(raw[:])
}

// parentTraceID reads "VERSION-TRACEID-PARENTID-FLAGS".
func parentTraceID(parent string) (string, bool) {
	const zero = "00000000000000000000000000000000"
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || parent[:2] == "ff" {
		return "", false
	}
	if len(parent) > 55 && (parent[:2] == "00" || parent[55] != '-') {
		return "", false
	}
	for i := range 55 {
		c := parent[i]
		if i != 2 && i != 35 && i != 52 && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return "", false
		}
	}
	id := parent[3:35]
	return id, id != zero && parent[36:52] != zero[:16]
}
