package source

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/httppath"
	"github.com/tierwall/tierwall/policy"
)

// http translates what a rule demands of HTTP requests; nil if it demands nothing.
func (r *calicoRule) http(protocol *policy.Protocol) *policy.HTTPMatch {
	in := r.rule.HTTP
	if in == nil {
		return nil
	}
	field := r.field + ".http"
	if r.dir != policy.Ingress {
		r.add(field, "http is for ingress rules only: requests are judged where they arrive")
	}
	if r.rule.Action != v3.Allow && r.rule.Action != "" {
		r.add(field, "http is for Allow rules only, but the action is %s: packets are judged before any request is read, and would all meet this rule", r.rule.Action)
	}
	if protocol != nil && *protocol != policy.TCP {
		r.add(field, "HTTP is spoken over TCP, but the rule's protocol is %s: expected TCP, or no protocol", protocol)
	}
	if not := r.rule.NotProtocol; not != nil && (string(*not) == "TCP" || string(*not) == "6") {
		r.add(field, "HTTP is spoken over TCP, which notProtocol excludes: the rule would match nothing")
	}
	out := &policy.HTTPMatch{}
	for i, method := range in.Methods {
		at := at(field+".methods", i)
		upper := strings.ToUpper(method)
		switch {
		case slices.Contains(in.Methods[:i], method):
			r.add(at, "%q is given twice: remove one", method)
		case !httpMethod.MatchString(method):
			r.add(at, `%q is no method: expected a name such as GET, or "*"`, method)
		case method != upper && slices.Contains(knownMethods, upper):
			r.add(at, "%q is no method: they are told apart by case; did you mean %q?", method, upper)
		}
		out.Methods = append(out.Methods, method)
	}
	for i, p := range in.Paths {
		out.Paths = append(out.Paths, r.path(at(field+".paths", i), p))
	}
	return out
}

var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}

// httpMethod is a method, or any.
var httpMethod = regexp.MustCompile(`^(\*|[A-Za-z][A-Za-z0-9._-]*)$`)

// path translates a path into the normal form, in which requests come.
func (r *calicoRule) path(field string, p v3.HTTPPath) policy.HTTPPath {
	if (p.Exact == "") == (p.Prefix == "") {
		r.add(field, "expected either exact or prefix")
		return policy.HTTPPath{}
	}
	name, text := ".exact", p.Exact
	if p.Prefix != "" {
		name, text = ".prefix", p.Prefix
	}
	normal, err := httppath.Normalize(text)
	switch {
	case !strings.HasPrefix(text, "/"):
		r.add(field+name, "%q is no path: expected one that begins with '/'", text)
	case strings.ContainsAny(text, "?#"):
		r.add(field+name, "%q has more than a path: remove what begins with '?' or '#'", text)
	case errors.Is(err, httppath.ErrAmbiguous):
		r.add(field+name, "%q %v; no request that has such a path matches any rule: write the path that is meant", text, err)
	case err != nil:
		r.add(field+name, "%q is no path: %v", text, err)
	}
	if p.Exact != "" {
		return policy.HTTPPath{Exact: normal}
	}
	return policy.HTTPPath{Prefix: normal}
}
