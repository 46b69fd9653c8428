package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/httppath"
	"github.com/tierwall/tierwall/policy"
)

// httpFlow are the flags of explain that describe an HTTP request in the connection.
type httpFlow struct {
	method, path string // both empty: no request is known

	request *policy.HTTPRequest // parsed
	note    string
}

func (o *httpFlow) register(f *pflag.FlagSet) {
	f.StringVar(&o.method, "http-method", "", "judge an HTTP request in the connection, of this method (GET where only the path is given)")
	f.StringVar(&o.path, "http-path", "", "judge an HTTP request in the connection, for this path (/ where only the method is given), such as /api/items")
}

// httpMethods are the usual ones.
var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}

// parse checks the flags, and brings the path into the form that rules compare.
func (o *httpFlow) parse(protocol policy.Protocol) error {
	if o.method == "" && o.path == "" {
		return nil
	}
	if protocol != policy.TCP && protocol != policy.UDP {
		return fmt.Errorf("--http-method and --http-path need --protocol TCP (or UDP, for HTTP/3), not %s", protocol)
	}
	o.request = &policy.HTTPRequest{Method: "GET", Path: "/"}
	if o.method != "" {
		o.request.Method = o.method
	}
	if strings.ContainsAny(o.request.Method, " \t/") {
		return fmt.Errorf("--http-method %q: expected a method such as GET", o.method)
	}
	if upper := strings.ToUpper(o.method); upper != o.method && slices.Contains(httpMethods, upper) {
		return fmt.Errorf("--http-method %s: methods are told apart by case; did you mean %s?", o.method, upper)
	}
	if o.path == "" {
		return nil
	}
	var err error
	if o.request.Path, err = httppath.Normalize(o.path); errors.Is(err, httppath.ErrMalformed) {
		return fmt.Errorf("--http-path %q: %w", o.path, err)
	}
	if err != nil {
		o.note = fmt.Sprintf("the path %s %v, so that no rule with paths matches it", o.path, err)
	}
	return nil
}

// apply puts the request into the flow.
func (o *httpFlow) apply(x *explanation) {
	x.flow.HTTP = o.request
	if o.note != "" {
		x.notes = append(x.notes, o.note)
	}
}

// requestText names the request for the line that names the connection.
func requestText(r *policy.HTTPRequest) string {
	switch {
	case r == nil:
		return ""
	case r.Path == "":
		return ", " + r.Method + " request"
	}
	return ", " + r.Method + " " + r.Path
}

// httpNote says that the rule which allows a connection asks for more, if no
// request is given to judge.
func (x *explanation) httpNote() string {
	by := x.result.Ingress.By
	if x.flow.HTTP != nil || by == nil || x.result.Ingress.Verdict != policy.Allow {
		return ""
	}
	key := policy.Key{Kind: by.Kind, Namespace: by.Namespace, Name: by.Name}
	for _, p := range x.model.Policies {
		if p.Key != key {
			continue
		}
		for i := range p.Rules[policy.Ingress] {
			r := &p.Rules[policy.Ingress][i]
			if r.Index == by.Rule && r.HTTP != nil {
				return fmt.Sprintf("rule %d asks for HTTP requests of a kind: the connection is let through, and a proxy that asks the agent (ext_authz) judges each request in it; "+
					"give one with --http-method and --http-path", by.Rule)
			}
		}
	}
	return ""
}
