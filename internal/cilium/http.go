package cilium

import (
	"strconv"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/httppath"
	"github.com/tierwall/tierwall/policy"
)

// requests returns what is demanded of requests at some ports: one of these, where
// nil is nothing. Without ok the ports are to be left out: that they are open for
// some requests is not to open them for all.
func (r *ruleConverter) requests(field string, p *PortRule) (out []*v3.HTTPMatch, ok bool) {
	l7 := p.Rules
	// Lists that are given and empty demand nothing.
	if l7 == nil || len(l7.HTTP)+len(l7.Kafka)+len(l7.DNS)+len(l7.L7) == 0 && l7.L7Proto == "" {
		return []*v3.HTTPMatch{nil}, true
	}
	ports := field + ".ports"
	field += ".rules"
	at := r.field + "." + field
	switch {
	case r.action == v3.Deny:
		r.invalid(at, "are for rules that allow")
		return nil, false
	case len(l7.HTTP) > 0 && len(l7.DNS) > 0:
		r.invalid(at+".dns", "cannot stand beside http: write a rule for each")
		return nil, false
	case len(l7.DNS) > 0 && r.direction == policy.Ingress:
		r.invalid(at+".dns", "is for egress only")
		return nil, false
	case !r.arePortsOfRequests(ports, p.Ports, len(l7.DNS) > 0):
		return nil, false
	case len(l7.Kafka) > 0:
		r.losePart(field+".kafka", "what Kafka's messages say cannot be expressed")
		return nil, false
	case len(l7.L7) > 0 || l7.L7Proto != "":
		r.losePart(field+".l7proto", "protocol %q of requests cannot be expressed", l7.L7Proto)
		return nil, false
	case len(l7.DNS) > 0:
		// The pattern for all names is how names are made known to toFQDNs.
		for i := range l7.DNS {
			if pattern := l7.DNS[i].MatchPattern; pattern != "" && strings.Trim(pattern, "*") == "" {
				return []*v3.HTTPMatch{nil}, true
			}
		}
		r.losePart(field+".dns", "which names may be looked up cannot be expressed, but for all of them (matchPattern: \"*\")")
		return nil, false
	case r.direction == policy.Egress:
		r.losePart(field+".http", "what HTTP requests of egress say cannot be expressed: demand it of ingress")
		return nil, false
	}
	for i := range l7.HTTP {
		if m, fine := r.http(field+"."+index("http", i), &l7.HTTP[i]); fine {
			out = append(out, m)
		}
	}
	return out, len(out) > 0
}

// arePortsOfRequests refuses ports at which Cilium reads no requests.
func (r *ruleConverter) arePortsOfRequests(field string, ports []PortProtocol, isDNS bool) bool {
	before := r.isInvalid
	r.isInvalid = false
	for i := range ports {
		at := r.field + "." + field + "[" + strconv.Itoa(i) + "]"
		protocol := strings.ToUpper(ports[i].Protocol)
		if n, err := strconv.Atoi(ports[i].Port); err == nil && n == 0 {
			r.invalid(at+".port", "rules for requests need a port that is not 0")
		}
		switch {
		case protocol == "TCP" || isDNS && (protocol == "UDP" || protocol == "" || protocol == "ANY"):
		case isDNS:
			r.invalid(at+".protocol", "%q: rules for DNS need TCP, UDP or ANY", ports[i].Protocol)
		default:
			r.invalid(at+".protocol", "%q: rules for requests need TCP", ports[i].Protocol)
		}
	}
	fine := !r.isInvalid
	r.isInvalid = before || !fine
	return fine
}

// http converts one HTTP rule; without ok it is left out.
func (r *ruleConverter) http(field string, h *HTTPRule) (*v3.HTTPMatch, bool) {
	switch {
	case h.Host != "":
		r.losePart(field+".host", "the host of requests cannot be expressed")
		return nil, false
	case len(h.Headers) > 0:
		r.losePart(field+".headers", "headers of requests cannot be expressed")
		return nil, false
	case len(h.HeaderMatches) > 0:
		r.losePart(field+".headerMatches", "headers of requests cannot be expressed")
		return nil, false
	}
	m := &v3.HTTPMatch{}
	if h.Method != "" {
		for method := range strings.SplitSeq(h.Method, "|") {
			if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				r.losePart(field+".method", "%q cannot be expressed: only methods can, and several as in GET|HEAD", h.Method)
				return nil, false
			}
			m.Methods = append(m.Methods, method)
		}
	}
	if h.Path != "" {
		path, ok := pathOf(h.Path)
		if !ok {
			r.losePart(field+".path", "%q cannot be expressed: only a whole path can, or the beginning of one as in /public/.*", h.Path)
			return nil, false
		}
		if _, err := httppath.Normalize(path.Exact + path.Prefix); err != nil && path != (v3.HTTPPath{}) {
			r.losePart(field+".path", "%q %v, and no request that has such a path matches any rule here", h.Path, err)
			return nil, false
		}
		if path != (v3.HTTPPath{}) {
			m.Paths = []v3.HTTPPath{path}
		}
	}
	if m.Methods == nil && m.Paths == nil {
		return nil, true
	}
	return m, true
}

// pathOf reads a regular expression that matches one path, or all with one beginning.
func pathOf(expr string) (v3.HTTPPath, bool) {
	text, isPrefix := strings.CutSuffix(strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$"), ".*")
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && strings.IndexByte(`.+*?()[]{}|^$\/-`, text[i+1]) >= 0 {
			i++
			b.WriteByte(text[i])
			continue
		}
		if strings.IndexByte(`.+*?()[]{}|^$\`, c) >= 0 || c <= ' ' || c > '~' {
			return v3.HTTPPath{}, false
		}
		b.WriteByte(c)
	}
	path := b.String()
	switch {
	case isPrefix && (path == "" || path == "/"):
		return v3.HTTPPath{}, true // every path begins so
	case !strings.HasPrefix(path, "/"):
		return v3.HTTPPath{}, false
	case isPrefix && !strings.HasSuffix(path, "/"):
		return v3.HTTPPath{}, false // "/public.*" is "/publications" as well, which no prefix here is
	case isPrefix:
		return v3.HTTPPath{Prefix: path}, true
	}
	return v3.HTTPPath{Exact: path}, true
}
